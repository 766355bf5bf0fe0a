"""Callers that close their writing side after the request (socat, `nc -N`): they are answered, and then closed.

On both event loops that a listener may run on. `test_web_parsers.py` runs this file once more with the other parser.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.core.model import Address
from sidecar.web.server.listener import Handler
from tests.support.admin_api import admin_api
from tests.support.fake_provider import FakeProvider
from tests.support.fast_listener import fast_listener
from tests.support.half_closed import LOOPS, Run, answered, call, on_loop, rest_of
from tests.support.sink import ListSink
from tests.support.vending_service import vending_service
from tests.support.wire import PLAIN, serving

MANY = 200
REPORT = b'{"tokenId": "x"}'
FORM = b"grant_type=client_credentials"


def post(path: bytes, media_type: bytes, body: bytes, length: int = 0) -> bytes:
    head = b"POST " + path + b" HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\nContent-Type: " + media_type
    return head + b"\r\nContent-Length: %d\r\n\r\n" % (length or len(body)) + body


SENT = {
    "a token": ("vending", PLAIN, 200),
    "a minimum": ("vending", PLAIN.replace(b"/v1/token", b"/v1/token?min_ttl=5"), 200),
    "authorization": ("vending", PLAIN.replace(b"\r\n\r\n", b"\r\nAuthorization: Bearer x\r\n\r\n"), 200),
    "HTTP/1.0": ("vending", PLAIN.replace(b"HTTP/1.1", b"HTTP/1.0"), 200),
    "OAuth": ("vending", post(b"/oauth/token", b"application/x-www-form-urlencoded", FORM), 200),
    "a report": ("vending", post(b"/v1/token/rejected", b"application/json", REPORT), 202),
    "half a body": ("vending", post(b"/v1/token/rejected", b"application/json", b'{"tok', 100), 400),
    "a refused body": ("vending", post(b"/v1/token", b"application/json", b"x", 100), 405),
    "no HTTP": ("vending", b"CANARY\r\n\r\n", 400),
    "readiness": ("admin", b"GET /readyz HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer x\r\n\r\n", 200),
    "metrics": ("admin", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 200),
}


@pytest.fixture(params=LOOPS)
def run(request: pytest.FixtureRequest) -> Run:
    return on_loop(request.param)


def admin() -> Handler:
    providers = {"default": FakeProvider()}
    return admin_api(providers, render_metrics=lambda _: (b"x", "text/plain"))


@asynccontextmanager
async def listener(name: str) -> AsyncIterator[Address]:
    if name == "vending":
        async with vending_service() as service:
            yield service.address
    else:
        async with serving(admin(), ListSink()) as address:
            yield address


@pytest.mark.parametrize("name", SENT)
def test_whatever_is_asked_is_answered_each_time(name: str, run: Run) -> None:
    where, sent, status = SENT[name]

    async def test() -> None:
        async with listener(where) as address:
            assert [(await answered(address, sent)).status for _ in range(MANY)] == [status] * MANY

    run(test())


def test_with_the_fast_path_on_everybody_is_answered_too(run: Run) -> None:
    async def test() -> None:
        async with fast_listener() as here:
            address = here.listener.bound[0]
            for sent in (PLAIN, PLAIN * 3, SENT["authorization"][1]):
                for _ in range(MANY // 4):
                    got = await rest_of(await call(address, sent))
                    assert got.count(b"HTTP/1.1 200 OK") == sent.count(PLAIN[:3])

    run(test())


def test_a_report_is_processed(run: Run) -> None:
    async def test() -> None:
        async with vending_service() as service:
            for _ in range(10):
                await answered(service.address, SENT["a report"][1])
            assert len(service.provider.reported) == 10

    run(test())


@pytest.mark.parametrize("end", [b"", b"GET /v1/tok"], ids=["whole", "half a head after"])
@pytest.mark.parametrize("where", ["vending", "admin"])
def test_all_that_were_sent_ahead_are_answered(where: str, end: bytes, run: Run) -> None:
    """More of them than may be under way at a time."""
    asked = PLAIN if where == "vending" else PLAIN.replace(b"/v1/token", b"/livez")

    async def test() -> None:
        async with listener(where) as address:
            for count in (2, 16, 100):
                got = await rest_of(await call(address, asked * count + end))
                assert got.count(b"HTTP/1.1 200 OK") == count

    run(test())


@pytest.mark.parametrize("where", ["vending", "admin"])
@pytest.mark.parametrize("sent", [b"", b"\r\n", b"GET /v1/tok", PLAIN[:-2]])
def test_half_a_head_and_the_end_is_closed_at_once(where: str, sent: bytes, run: Run) -> None:
    """Long before the time for a head is over."""

    async def test() -> None:
        async with listener(where) as address:
            assert await rest_of(await call(address, sent)) == b""

    run(test())


def test_the_end_after_the_answer_closes_at_once(run: Run) -> None:
    async def test() -> None:
        async with vending_service() as service:
            reader, writer = await asyncio.open_connection(service.address.host, service.address.port)
            writer.write(PLAIN)
            await reader.readuntil(b"}")
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()

    run(test())
