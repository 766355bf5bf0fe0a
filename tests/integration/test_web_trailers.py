"""A request that could change how the next one on its connection is read is the last one there."""

from __future__ import annotations

import pytest

from sidecar.core.model import Secret
from sidecar.credentials.caller_token import CallerTokens
from sidecar.web.api.guards import GuardSettings
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import PLAIN, exchange

TOKEN = b"access-token-one"
CALLER_TOKEN = "caller-token-canary"
LOCKED = GuardSettings(caller_tokens=lambda: CallerTokens([Secret(CALLER_TOKEN)]))
CHUNKED = b"POST /v1/authorize HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
HOST, REQUIRED = b"Host: localhost\r\n", b"Sidecar-Request: true\r\n"
BARE = b"GET /v1/token HTTP/1.1\r\n"


async def replies(service: VendingService, sent: bytes) -> list[bytes]:
    """The status lines of all that came back before the connection was closed."""
    raw = (await exchange(service.address, sent)).raw
    assert TOKEN not in raw
    return [line for line in raw.split(b"\r\n") if line.startswith(b"HTTP/1.1")]


@pytest.mark.parametrize(
    ("trailer", "following"),
    [
        (REQUIRED, BARE + HOST + b"\r\n"),
        (HOST, BARE + REQUIRED + b"\r\n"),
        (b"Authorization: Bearer " + CALLER_TOKEN.encode() + b"\r\n", BARE + HOST + REQUIRED + b"\r\n"),
        (b"If-None-Match: *\r\n", PLAIN),
    ],
    ids=["required header", "host", "authorization", "condition"],
)
@pytest.mark.parametrize("end", [b"\r\n", b"X: y\r\n\r\n"], ids=["last", "not the last"])
async def test_a_trailer_is_no_header_of_the_next_request(trailer: bytes, following: bytes, end: bytes) -> None:
    async with vending_service(LOCKED if trailer.startswith(b"Auth") else GuardSettings()) as service:
        seen = await replies(service, CHUNKED + trailer + end + following)
    # None where the next request is no HTTP at all, and the connection was reset over it.
    assert seen in ([b"HTTP/1.1 403 Forbidden"], [b"HTTP/1.1 400 Bad Request"], [])


@pytest.mark.parametrize("lines", [b"Connection: Upgrade\r\nUpgrade: h2c\r\n", b"Upgrade: websocket\r\n"])
async def test_what_follows_an_upgrade_is_neither_dropped_nor_answered_out_of_turn(lines: bytes) -> None:
    first = b"GET /v1/token/nobody HTTP/1.1\r\n" + HOST + REQUIRED + lines + b"\r\n"
    async with vending_service() as service:
        assert await replies(service, first + PLAIN * 3) == [b"HTTP/1.1 404 Not Found"]


async def test_a_connection_to_somewhere_else_is_the_end() -> None:
    connect = b"CONNECT localhost:80 HTTP/1.1\r\n" + HOST + REQUIRED + b"\r\n"
    async with vending_service() as service:
        (status,) = await replies(service, connect + PLAIN)
        assert status in (b"HTTP/1.1 404 Not Found", b"HTTP/1.1 400 Bad Request")
