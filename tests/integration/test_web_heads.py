"""Where a head begins and ends: empty lines, long lines, pieces of any size, and what may be kept afterwards.

`test_web_parsers.py` runs this file once more with the other of aiohttp's parsers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest
from aiohttp import http_parser

from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address
from sidecar.core.partner_table import TokenHeader
from sidecar.web.api.app import TokenApi
from sidecar.web.api.guards import Guards, GuardSettings
from sidecar.web.server.listener import Handler
from tests.fuzz.conversation import converse
from tests.support.admin_api import admin_api
from tests.support.fake_provider import FakeProvider, FixedClock
from tests.support.replica import HANG_S
from tests.support.sink import ListSink
from tests.support.wire import exchange, serving

LIMIT = 2048
HEAD = b"GET /%s HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\n"


@pytest.fixture(params=["vending", "admin"])
async def listener(request: pytest.FixtureRequest) -> AsyncIterator[tuple[Address, bytes]]:
    """Its address, and a head without its end that it answers with 200."""
    providers, sink = {"default": FakeProvider()}, ListSink()
    handler: Handler = admin_api(providers)
    if request.param == "vending":
        handler = TokenApi(
            providers, Guards(GuardSettings()), sink, FixedClock(), {"default": TokenHeader("AccessToken")}
        )
    async with serving(handler, sink, limits=Limits(max_header_bytes=LIMIT)) as address:
        yield address, HEAD % (b"v1/token" if request.param == "vending" else b"status.json")


def statuses(answered: bytes) -> list[int]:
    return [int(status) for status in re.findall(rb"HTTP/1\.[01] (\d{3}) ", answered)]


async def statuses_of(address: Address, pieces: Sequence[bytes]) -> list[int]:
    """Send one piece after the other, and read until the listener closes, which it must."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    try:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0)
        return statuses(await asyncio.wait_for(reader.read(), HANG_S))
    finally:
        writer.close()


def single(sent: bytes) -> list[bytes]:
    return [sent[at : at + 1] for at in range(len(sent))]


@pytest.mark.parametrize("drips", [False, True], ids=["in one piece", "byte by byte"])
@pytest.mark.parametrize("beyond", [0, 1])
@pytest.mark.parametrize("place", ["first", "after a request", "after a few"])
async def test_empty_lines_count_with_the_head_after_them(
    listener: tuple[Address, bytes], place: str, beyond: int, drips: bool
) -> None:
    address, head = listener
    last = head + b"Connection: close\r\n"
    last += b"X: " + b"x" * (1 + len(last) % 2) + b"\r\n"
    # Its last line, which is empty, does not count.
    empty = b"\r\n" * ((LIMIT - len(last)) // 2 + beyond)
    before = {"first": b"", "after a request": head + b"\r\n", "after a few": (head + b"\r\n") * 5}[place]
    sent = before + empty + last + b"\r\n"
    if beyond and drips:
        # Nothing comes after the byte that is too many: what is not read resets the connection.
        sent = sent[:-2]
    expected = [200] * before.count(b"GET") + [431 if beyond else 200]
    assert await statuses_of(address, single(sent) if drips else [sent]) == expected


async def test_empty_lines_alone_are_ended_too(listener: tuple[Address, bytes]) -> None:
    assert await statuses_of(listener[0], [b"\r\n" * LIMIT]) == [431]


@pytest.mark.parametrize("parser", [http_parser.HttpRequestParserPy])
@pytest.mark.parametrize("storm", ["empty lines", "a line byte by byte", "empty lines behind a request"])
def test_what_the_parser_looks_at_grows_with_the_bytes_and_ends_at_the_limit(storm: str, parser: type[Any]) -> None:
    """Counted by the parser in Python, which scans all of a line again each time a part of it comes."""
    work = 0

    class Counting(parser):  # type: ignore[misc]  # one of two
        def feed_data(self, data: bytes, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as aiohttp's
            nonlocal work
            work += len(self._tail) + len(data)
            return super().feed_data(data, *args, **kwargs)

    head = HEAD % b"v1/token"
    long = head + b"X: " + b"x" * 4000 + b"\r\n\r\n"
    feeds = {
        "empty lines": [b"\r\n" * 8000] * 60,
        "a line byte by byte": single(long),
        "empty lines behind a request": [head + b"\r\n" + b"\r\n" * 500_000],
    }[storm]
    answered = converse(feeds, GuardSettings(), Counting).answered
    assert statuses(answered) == {"empty lines": [431], "a line byte by byte": [200]}.get(storm, [200, 431])
    assert work <= max(len(long), Limits().max_header_bytes)


@pytest.mark.parametrize("size", [8_191, 60_000])
async def test_a_line_may_be_as_long_as_the_setting_says(size: int) -> None:
    api = TokenApi(
        {"default": FakeProvider()}, Guards(GuardSettings()), ListSink(), FixedClock(), {"default": TokenHeader("X")}
    )
    async with serving(api, ListSink(), limits=Limits(max_header_bytes=65_536)) as address:
        for line in (b"X: " + b"x" * size, b"X: %s" % (b" " * size)):
            head = HEAD % b"v1/token" + b"Connection: close\r\n" + line + b"\r\n\r\n"
            assert (await exchange(address, head)).status == 200
        long = HEAD % (b"v1/token/" + b"x" * size) + b"Connection: close\r\n\r\n"
        assert (await exchange(address, long)).status == 404


async def test_what_came_before_the_fault_is_answered_first(listener: tuple[Address, bytes]) -> None:
    address, head = listener
    request = head + b"\r\n"
    for fault, status in ((b"no HTTP\r\n\r\n", 400), (b"\x16\x03\x01", 400), (head + b"X: " + b"x" * LIMIT, 431)):
        assert await statuses_of(address, [request * 3 + fault]) == [200, 200, 200, status]


@pytest.mark.parametrize("sent", [b"\x16\x03\x01\x02\x00\x01\xfc", b"SSH-2.0-x\r\n", b"GET / HTTP/1.1\n", b"\n"])
async def test_what_begins_no_request_is_refused_at_once(listener: tuple[Address, bytes], sent: bytes) -> None:
    """Without its end, and long before the time for a head is over."""
    assert await statuses_of(listener[0], [sent]) == [400]


@pytest.mark.parametrize("drips", [False, True], ids=["in one piece", "byte by byte"])
async def test_a_body_ends_where_its_length_says(drips: bool, listener: tuple[Address, bytes]) -> None:
    address, head = listener
    post = (
        head.replace(b"GET", b"POST")
        + b"Content-Length: 40\r\n\r\n"
        + b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\nGET /"
    )
    sent = post + head + b"Connection: close\r\n\r\n"
    assert await statuses_of(address, single(sent) if drips else [sent]) == [405, 200]


OPTIONS = {
    "Keep-Alive": None, "KEEP-ALIVE": None, "Keep-Alive, x": True, "x,keep-alive": True, "x , Keep-Alive , y": True,
    "close": False, "Close, x": False, "x,CLOSE": False, "keep-alive, close": False, "close, Keep-Alive": False,
    "keep-alive\r\nConnection: Close": False, "closed": None, "x": None,
}  # fmt: skip
"""Whether the connection is kept; None: as the version's own is, or as `Keep-Alive` alone asks."""


@pytest.mark.parametrize("version", [b"HTTP/1.0", b"HTTP/1.1"])
@pytest.mark.parametrize("options", OPTIONS)
async def test_connection_options_are_a_list_in_any_case(
    listener: tuple[Address, bytes], options: str, version: bytes
) -> None:
    address, head = listener
    head = head.replace(b"HTTP/1.1", version)
    kept = OPTIONS[options]
    if kept is None:
        kept = version == b"HTTP/1.1" or options.lower() == "keep-alive"
    asking = head + b"Connection: " + options.encode() + b"\r\n\r\n"
    last = head + b"Connection: close\r\n\r\n"
    assert await statuses_of(address, [asking + last]) == [200, 200][: 1 + kept]
