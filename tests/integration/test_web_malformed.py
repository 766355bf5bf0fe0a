"""Requests that are no HTTP: both listeners answer a constant text and log a status and a class, nothing of what came.

Stock aiohttp repeats the offending header in its reply and its log. `test_web_parsers.py` runs this file once more
with the parser that is written in Python.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import AsyncIterator

import pytest

from sidecar.app.observers import Fanout
from sidecar.core.events import InternalFailure
from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address
from sidecar.core.partner_table import TokenHeader
from sidecar.core.process_events import MalformedRequest
from sidecar.telemetry.log import LogSink
from sidecar.telemetry.redaction import Redactor
from sidecar.web.admin.app import AdminApi
from sidecar.web.api.app import TokenApi
from sidecar.web.api.guards import Guards, GuardSettings
from sidecar.web.server.request_handler import UNREADABLE
from tests.support.admin_api import admin_api
from tests.support.fake_provider import FakeProvider, FixedClock
from tests.support.sink import ListSink
from tests.support.vending_service import vending_service
from tests.support.wire import exchange, parse, serving

CANARY = b"CANARY"
START = b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\nConnection: close\r\n"

MALFORMED = {
    "control character in a value": START + b"Authorization: Bearer CANARY\x01\r\n\r\n",
    "null byte in a value": START + b"Authorization: Bearer CANARY\x00\r\n\r\n",
    "space before the colon": START + b"Authorization : CANARY\r\n\r\n",
    "header without a colon": START + b"CANARY\r\n\r\n",
    "header without a name": START + b": CANARY\r\n\r\n",
    "bad byte in the method": b"G\x01T /CANARY HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "control character in the path": b"GET /CANARY\x01 HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "no HTTP version": b"GET /CANARY FTP/CANARY\r\nHost: localhost\r\n\r\n",
    "no request line": b"CANARY\r\n\r\n",
    "two lengths": START + b"Content-Length: 1\r\nContent-Length: 2\r\nX: CANARY\r\n\r\n",
    "length that is no number": START + b"Content-Length: CANARY\r\n\r\n",
    "length and chunks": START + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\nX: CANARY\r\n\r\n",
    "TLS on the plain port": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfcCANARY\r\n\r\n",
}

TOO_LARGE = {
    "a header": START + b"Authorization: Bearer CANARY" + b"x" * 17_000 + b"\r\n\r\n",
    "a header that never ends": START + b"Authorization: CANARY" + b"y" * 20_000,
    "a path": b"GET /CANARY" + b"x" * 17_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "many headers": START + b"Authorization: Bearer CANARY\r\n" * 1_000 + b"\r\n",
    "empty lines": b"\r\n" * 9_000 + START + b"Authorization: Bearer CANARY\r\n\r\n",
}

POST = START.replace(b"GET /v1/token", b"POST /v1/token/rejected") + b"Content-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
ODD = {
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\nCANARY",
    "HTTP/0.9": b"GET /CANARY\r\n\r\n",
    "HTTP/1.2": b"GET /CANARY HTTP/1.2\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "HTTP/3.0": b"GET /CANARY HTTP/3.0\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "CONNECT": b"CONNECT CANARY:443 HTTP/1.1\r\nHost: CANARY:443\r\nConnection: close\r\n\r\n",
    "absolute target": b"GET http://CANARY@localhost/v1/token HTTP/1.1\r\nHost: CANARY\r\nConnection: close\r\n\r\n",
    "target without a host": b"GET http:///CANARY HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "target without a slash": b"GET CANARY HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "asterisk": b"OPTIONS * HTTP/1.1\r\nHost: CANARY\r\nConnection: close\r\n\r\n",
    "broken escapes in the path": START.replace(b"/v1/token", b"/v1/%zz%CANARY%") + b"\r\n",
    "broken escapes in the query": START.replace(b"/v1/token", b"/v1/token?min_ttl=%zzCANARY&min_ttl=%") + b"\r\n",
    "dots in the path": START.replace(b"/v1/token", b"/v1/../v1/./token/CANARY") + b"\r\n",
    "folded header": START + b"X: one\r\n CANARY\r\n\r\n",
    "lines that end in LF alone": START.replace(b"\r\n", b"\n") + b"X: CANARY\n\n",
    "CR within a value": START + b"X: CAN\rCANARY\r\n\r\n",
    "bytes that are no UTF-8": START + b"Authorization: Bearer CANARY\xff\xfe\r\n\r\n",
    "header name that is no token": START + b"X(CANARY): 1\r\n\r\n",
    "header name beyond ASCII": START + b"X-\xc3\xa9-CANARY: 1\r\n\r\n",
    "two thousand headers": START + b"X: CANARY\r\n" * 2_000 + b"\r\n",
    "a method without end": b"CANARY" * 3_000 + b" / HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "three spaces": b"GET   /CANARY   HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "space before the request line": b" GET /CANARY HTTP/1.1\r\nHost: localhost\r\n\r\n",
    "negative length": POST + b"Content-Length: -1\r\nX: CANARY\r\n\r\n",
    "length with a sign": POST + b"Content-Length: +5\r\n\r\nCANARY",
    "length with an underscore": POST + b"Content-Length: 1_0\r\n\r\nCANARY",
    "length beyond all numbers": POST + b"Content-Length: " + b"9" * 400 + b"\r\n\r\nCANARY",
    "chunked, but not last": POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\nCANARY",
    "chunked twice": POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\nCANARY",
    "unknown transfer coding": POST + b"Transfer-Encoding: CANARY\r\n\r\nCANARY",
    "chunk size that is no number": CHUNKED + b"CANARY\r\n",
    "chunk size beyond all numbers": CHUNKED + b"f" * 400 + b"\r\nCANARY",
    "chunk extension": CHUNKED + b"1;CANARY=CANARY\r\nx\r\n0\r\n\r\n",
    "chunk without its end": CHUNKED + b"1\r\nCANARY",
    "trailers": CHUNKED + b"0\r\nAuthorization: CANARY\x01\r\n\r\n",
    "upgrade to HTTP/2": START + b"Upgrade: h2c\r\nHTTP2-Settings: CANARY\r\n\r\nCANARY",
    "upgrade to WebSocket": START + b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: CANARY\r\n\r\n",
    "expectation of nobody": POST + b"Expect: CANARY\r\nContent-Length: 6\r\n\r\nCANARY",
    "body that is no JSON": POST + b"Content-Length: 6\r\n\r\nCANARY",
    "compressed body": POST + b"Content-Encoding: gzip\r\nContent-Length: 6\r\n\r\nCANARY",
}
"""Not all of it is wrong by the letter, and some of it is wrong to one parser only."""


class Room:
    """One listener with everything that it tells anybody."""

    def __init__(self, address: Address, sink: ListSink, log: io.StringIO, caplog: pytest.LogCaptureFixture) -> None:
        self.address = address
        self.sink = sink
        self._log = log
        self._caplog = caplog

    @property
    def told(self) -> str:
        records = [repr(vars(record)) + self._caplog.handler.format(record) for record in self._caplog.records]
        return self._log.getvalue() + repr(self.sink.events) + "".join(records)

    @property
    def log_lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self._log.getvalue().splitlines()]


@pytest.fixture(params=["vending", "admin"])
async def room(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Room]:
    caplog.set_level(logging.DEBUG)
    seen, log = ListSink(), io.StringIO()
    sink = Fanout([seen, LogSink("json", "debug", log.write, Redactor(), FixedClock())])
    providers = {"default": FakeProvider()}
    handler: TokenApi | AdminApi
    if request.param == "vending":
        handler = TokenApi(
            providers, Guards(GuardSettings()), sink, FixedClock(), {"default": TokenHeader("AccessToken")}
        )
    else:
        handler = admin_api(providers)
    async with serving(handler, sink) as address:
        yield Room(address, seen, log, caplog)


@pytest.mark.parametrize("sent", MALFORMED.values(), ids=MALFORMED.keys())
async def test_a_malformed_request_leaks_nothing(room: Room, sent: bytes) -> None:
    reply = await exchange(room.address, sent)
    assert (reply.status, reply.code) == (400, "bad-request")
    assert reply.header("Cache-Control") == "no-store"
    assert reply.json()["detail"] == UNREADABLE
    assert CANARY not in reply.raw
    assert CANARY.decode() not in room.told


@pytest.mark.parametrize("sent", TOO_LARGE.values(), ids=TOO_LARGE.keys())
async def test_a_head_that_is_too_large_is_told_so_and_leaks_nothing(room: Room, sent: bytes) -> None:
    reply = await exchange(room.address, sent)
    assert (reply.status, reply.code) == (431, "bad-request")
    assert reply.header("Cache-Control") == "no-store"
    assert "SIDECAR_MAX_HEADER_BYTES" in reply.json()["detail"]
    assert CANARY not in reply.raw
    assert CANARY.decode() not in room.told


@pytest.mark.parametrize("method", ["get", "Get", "G(T"])
async def test_methods_are_in_capitals(room: Room, method: str) -> None:
    reply = await exchange(room.address, START.replace(b"GET", method.encode()) + b"\r\n")
    assert (reply.status, reply.code) == (400, "bad-request")


@pytest.mark.parametrize(
    "version",
    [
        "",
        " HTTP/0.9",
        " HTTP/1.2",
        " HTTP/1.9",
        " HTTP/2.0",
        " HTTP/3.0",
        " http/1.1",
        " RTSP/1.0",
        " RTSP/1.1",
        " ICE/1.0",
    ],
)
async def test_no_version_is_spoken_but_1_0_and_1_1(room: Room, version: str) -> None:
    """aiohttp lets some pass, which ones depends on its parser, and answers in them."""
    reply = await exchange(room.address, START.replace(b" HTTP/1.1", version.encode()) + b"\r\n")
    assert (reply.status, reply.code) == (400, "bad-request")


@pytest.mark.parametrize("sent", ODD.values(), ids=ODD.keys())
async def test_an_odd_request_is_answered_in_form_and_leaks_nothing(room: Room, sent: bytes) -> None:
    reply = await exchange(room.address, sent)
    assert 200 <= reply.status < 500
    assert reply.header("Cache-Control") == "no-store"
    assert CANARY not in reply.raw
    assert CANARY.decode() not in room.told
    assert room.sink.of(InternalFailure) == []


async def test_a_malformed_request_is_logged_by_status_and_class(room: Room) -> None:
    await exchange(room.address, MALFORMED["control character in a value"])
    (event,) = room.sink.of(MalformedRequest)
    assert event.status == 400
    (line,) = room.log_lines
    assert line == {
        "timestamp": "2026-01-01T00:00:00.000Z",
        "level": "warning",
        "event": "malformed_request",
        "status": 400,
        "cause": event.cause,
    }


async def test_the_next_caller_is_served(room: Room) -> None:
    await exchange(room.address, MALFORMED["no request line"])
    assert (await exchange(room.address, START + b"\r\n")).status in (200, 404)


async def test_a_body_that_breaks_half_way_is_a_bad_request_and_no_bug() -> None:
    """The parser in C says nothing of it and the body never ends; the one in Python raises."""
    async with vending_service(limits=Limits(body_timeout_s=1)) as service:
        reader, writer = await asyncio.open_connection(service.address.host, service.address.port)
        head = (
            b"POST /v1/token/rejected HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\nExpect: 100-continue\r\n"
        )
        writer.write(head + b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"CANARY\r\n")
        reply = parse(await reader.read())
        writer.close()
        await writer.wait_closed()
        assert (reply.status, reply.code) == (400, "bad-request")
        assert b"CANARY" not in reply.raw
        assert service.sink.of(InternalFailure) == []
        assert "CANARY" not in repr(service.sink.events)


async def test_a_body_that_breaks_after_its_request_was_refused_is_no_bug() -> None:
    """What is left of a refused body is read and thrown away; the parser in Python raises from there."""
    async with vending_service() as service:
        reader, writer = await asyncio.open_connection(service.address.host, service.address.port)
        head = b"POST /v1/token/rejected HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\nConnection: close\r\n"
        writer.write(head + b"Content-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"CANARY\r\n")
        await reader.read()
        writer.close()
        await writer.wait_closed()
        assert service.sink.of(InternalFailure) == []
        assert "CANARY" not in repr(service.sink.events)
