"""Connections, bugs and what every response has in common."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator

import pytest

from sidecar.core.events import InternalFailure
from tests.support.replica import HANG_S
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import ask, exchange


@pytest.fixture
async def service() -> AsyncIterator[VendingService]:
    async with vending_service() as running:
        yield running


async def test_a_bug_is_a_500_that_tells_its_place_to_the_log_and_nothing_to_the_caller(
    service: VendingService,
) -> None:
    service.provider.now, service.provider.later = None, RuntimeError("CANARY")
    reply = await service.get("/v1/token")
    assert (reply.status, reply.code) == (500, "internal-error")
    (failure,) = service.sink.of(InternalFailure)
    assert "RuntimeError" in failure.trace
    assert "provider.py" in failure.trace
    assert b"CANARY" not in reply.raw
    assert "CANARY" not in repr(service.sink.events)
    assert service.served == [("default", "token", "internal-error")]


async def test_a_timeout_error_in_a_handler_is_a_bug_like_any_other(service: VendingService) -> None:
    service.provider.now, service.provider.later = None, TimeoutError()
    assert (await service.get("/v1/token")).status == 500
    assert "TimeoutError" in service.sink.of(InternalFailure)[0].trace


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v1/token", b""),
        ("GET", "/v1/authorize", b""),
        ("GET", "/v1/token/nobody", b""),
        ("GET", "/nowhere", b""),
        ("POST", "/v1/token", b""),
        ("POST", "/v1/token/rejected", b'{"accessToken": "x"}'),
        ("POST", "/v1/token/rejected", b"{"),
        ("POST", "/oauth/token", b"x"),
        ("GET", "/openapi.json", b""),
        ("G\x01T", "/v1/token", b""),
    ],
)
async def test_no_answer_may_be_stored(service: VendingService, method: str, path: str, body: bytes) -> None:
    reply = await ask(service.address, path, method=method, body=body)
    assert reply.header("Cache-Control") == "no-store"
    assert reply.header("Server") == "token-sidecar"


async def test_two_requests_may_share_a_connection(service: VendingService) -> None:
    first = b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\n\r\n"
    reply = await exchange(service.address, first + first.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"))
    assert reply.raw.count(b"HTTP/1.1 200 OK") == 2


async def test_a_long_poll_whose_caller_went_away_is_ended(service: VendingService) -> None:
    service.provider.waits = True
    gone = asyncio.Event()
    wait = service.provider.another.wait

    async def wait_until_cut() -> bool:
        try:
            return await wait()
        finally:
            gone.set()

    service.provider.another.wait = wait_until_cut  # type: ignore[method-assign,assignment]  # to see it end
    _, writer = await asyncio.open_connection(service.address.host, service.address.port)
    writer.write(
        b"GET /v1/token?wait=60 HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\nIf-None-Match: *\r\n\r\n"
    )
    await service.provider.waiting.wait()
    # A reset. Who only closed its writing side is answered (`test_web_half_closed.py`).
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    async with asyncio.timeout(HANG_S):
        await gone.wait()
