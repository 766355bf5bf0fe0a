"""Long responses of the gateway to apps that read slowly: they are counted as calls under way until they are whole."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from sidecar.config.settings import Replay, SignedRequests
from sidecar.core.allow_list import AllowList, read_rule
from sidecar.core.model import Address
from sidecar.gateway import forwarder as gateway_forwarder
from sidecar.gateway.forwarder import Forwarder
from sidecar.gateway.handler import Gateway
from sidecar.gateway.sender import Sender, open_gateway_session
from sidecar.partner.presets import PRESETS
from sidecar.vending.signer import Signer
from sidecar.web.api.guards import Guards, GuardSettings
from tests.support.fake_provider import FakeProvider, FixedClock
from tests.support.replica import HANG_S, PATIENT_S, until
from tests.support.sink import ListSink
from tests.support.wire import ask, serving

LONG = bytes(range(256)) * 64 * 1024
"""16 MiB: more than the socket buffers on the way hold."""
TARGET = "/api/pay1st/payments"


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer each request with `LONG`."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(LONG), LONG))
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


@asynccontextmanager
async def _gateway() -> AsyncIterator[tuple[Address, Forwarder]]:
    async def certificates() -> bool:
        return True

    provider, clock, sink, preset = FakeProvider(), FixedClock(), ListSink(), PRESETS["pay1st"]
    assert preset.sign is not None
    partner = await asyncio.start_server(_answer, "127.0.0.1", 0)
    async with partner, open_gateway_session() as session:
        sender = Sender(
            base_url=f"http://127.0.0.1:{partner.sockets[0].getsockname()[1]}",
            token_header=preset.header,
            signer=Signer(preset.sign, provider, clock, sink),
            sign=SignedRequests.WRITES,
            session=session,
            certificates=certificates,
            measure=lambda *_: None,
            clock=clock,
        )
        forwarder = Forwarder(provider, sender, Replay.OFF, PATIENT_S)
        gateway = Gateway(
            profile="default",
            guards=Guards(GuardSettings()),
            allow=AllowList([read_rule(f"GET {TARGET}")], []),
            forwarder=forwarder,
            max_body_bytes=1,
            clock=clock,
            sink=sink,
            audit=sink,
        )
        async with serving(gateway, sink) as address:
            yield address, forwarder


async def test_apps_that_read_slowly_are_calls_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gateway_forwarder, "MAX_CALLS", 2)
    async with _gateway() as (address, forwarder):
        slow = [await asyncio.open_connection(address.host, address.port, limit=1024) for _ in range(2)]
        for reader, writer in slow:
            writer.write(f"GET {TARGET} HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\n\r\n".encode())
            assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HANG_S)).startswith(b"HTTP/1.1 200 ")
        refused = await ask(address, TARGET)
        assert (refused.status, refused.code) == (503, "overloaded")
        reader, writer = slow[0]
        assert await asyncio.wait_for(reader.readexactly(len(LONG)), HANG_S) == LONG
        await until(lambda: forwarder.calls == 1)
        assert (await ask(address, TARGET)).body == LONG
        # The other one leaves, and its call ends.
        for _, writer in slow:
            writer.transport.abort()
        await until(lambda: forwarder.calls == 0)
