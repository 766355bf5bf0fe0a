"""While the sidecar drains each answer says that its connection ends, so that no caller sends on one that is gone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from sidecar.core.limits import Limits
from sidecar.web.guards import Guards, GuardSettings
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.http_server import HttpServer
from sidecar.web.server.listener import Listener
from sidecar.web.token_api import TokenApi
from tests.fakes.replica import HANG_S
from tests.fakes.sink import ListSink
from tests.fakes.vendor import FakeVendor, FixedClock, vended
from tests.fakes.wire import LOOPBACK, PLAIN, Reply, parse

LONG_POLL = PLAIN.replace(b"/v1/token", b"/v1/token?wait=60").replace(b"\r\n\r\n", b"\r\nIf-None-Match: *\r\n\r\n")


class NoTally:
    def count(self, code: str, duration_s: float) -> None:
        """Nothing is counted."""


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self.writer = reader, writer

    async def reply(self) -> Reply:
        async with asyncio.timeout(HANG_S):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(parse(head).header("Content-Length") or 0)
            return parse(head + await self._reader.readexactly(length))

    async def ask(self) -> Reply:
        self.writer.write(PLAIN)
        return await self.reply()

    async def ended(self) -> bool:
        async with asyncio.timeout(HANG_S):
            rest = await self._reader.read()
        self.writer.close()
        return rest == b""


@asynccontextmanager
async def listening(vendor: FakeVendor, *, fast: bool) -> AsyncIterator[Listener]:
    sink, clock = ListSink(), FixedClock()
    vendor.now = replace(vended(), good_until=60)
    answers = FastPath(clock, lambda _profile, _endpoint: NoTally()) if fast else None
    api = TokenApi(
        {"default": vendor}, Guards(GuardSettings()), sink, clock, {"default": "AccessToken"}, fast_path=answers
    )
    listener = Listener(lambda: HttpServer(api, sink, "vending", Limits(), answers))
    await listener.start([LOOPBACK])
    try:
        yield listener
    finally:
        await listener.stop(0.1)


async def connected(listener: Listener) -> Caller:
    return Caller(*await asyncio.open_connection(listener.bound[0].host, listener.bound[0].port))


@pytest.mark.parametrize("fast", [True, False])
async def test_a_caller_that_keeps_its_connection_is_told_that_it_ends(fast: bool) -> None:
    async with listening(FakeVendor(), fast=fast) as listener:
        caller = await connected(listener)
        assert [(await caller.ask()).header("Connection") for _ in range(4)] == [None] * 4
        listener.drain()
        last = await caller.ask()
        assert (last.status, last.header("Connection")) == (200, "close")
        assert await caller.ended()


async def test_who_comes_during_the_drain_is_served_once_a_connection() -> None:
    async with listening(FakeVendor(), fast=True) as listener:
        listener.drain()
        for _ in range(4):
            caller = await connected(listener)
            assert (await caller.ask()).header("Connection") == "close"
            assert await caller.ended()


async def test_a_long_poll_that_began_before_is_told_too() -> None:
    vendor = FakeVendor()
    vendor.patient = True
    async with listening(vendor, fast=True) as listener:
        caller = await connected(listener)
        caller.writer.write(LONG_POLL)
        await vendor.waiting.wait()
        listener.drain()
        vendor.another.set()
        assert (await caller.reply()).header("Connection") == "close"
        assert await caller.ended()
