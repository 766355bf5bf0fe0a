"""A connection that has ended is gone at once: an idle process never calls the garbage collector."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator

import pytest

from sidecar.core.model import Address
from sidecar.web.server.protocol import HttpConnection
from sidecar.web.server.request_feed import RequestFeed
from sidecar.web.server.request_handler import ConnectionHandler
from tests.support.replica import until
from tests.support.vending_service import vending_service
from tests.support.wire import PLAIN

REQUESTS = {
    "a token": PLAIN,
    "a token, closed by us": PLAIN.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n"),
    "two at once": PLAIN + PLAIN,
    "no token": PLAIN.replace(b"/v1/token", b"/v1/token/nobody"),
    "a report": b"POST /v1/token/rejected HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\n"
    b'Content-Length: 15\r\n\r\n{"tokenId":"x"}',
    "a stranger": b"GET /v1/token HTTP/1.1\r\nHost: elsewhere\r\n\r\n",
    "no HTTP": b"\x16\x03\x01\r\n\r\n",
    "half a head": b"GET /v1/token HT",
    "half a body": b"POST /oauth/token HTTP/1.1\r\nHost: localhost\r\nContent-Length: 9\r\n\r\ngrant",
    "nothing": b"",
}


@pytest.fixture
def no_collector() -> Iterator[None]:
    gc.collect()
    # What other tests keep is not looked at.
    gc.freeze()
    gc.disable()
    yield
    gc.enable()
    gc.unfreeze()


def connections() -> list[object]:
    """All that were made since `no_collector`."""
    return [thing for thing in gc.get_objects() if isinstance(thing, HttpConnection | ConnectionHandler | RequestFeed)]


async def visit(address: Address, sent: bytes) -> None:
    """Send that, wait for the first byte of a response where one is due, and go."""
    reader, writer = await asyncio.open_connection(address.host, address.port)
    writer.write(sent)
    if sent.endswith((b"\r\n\r\n", b"}")):
        await reader.readexactly(1)
    writer.close()
    await writer.wait_closed()


@pytest.mark.usefixtures("no_collector")
@pytest.mark.parametrize("sent", REQUESTS.values(), ids=REQUESTS.keys())
async def test_nothing_is_left_of_a_connection(sent: bytes) -> None:
    async with vending_service() as service:
        for _ in range(3):
            await visit(service.address, sent)
        await until(lambda: not connections())
