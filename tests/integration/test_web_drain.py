"""While the sidecar drains each response says that its connection ends, so that no caller sends on one that is gone."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.web.server.listener import Listener
from tests.support.fake_provider import FakeProvider
from tests.support.fast_listener import fast_listener
from tests.support.replica import HANG_S
from tests.support.wire import PLAIN, Reply, parse

LONG_POLL = PLAIN.replace(b"/v1/token", b"/v1/token?wait=60").replace(b"\r\n\r\n", b"\r\nIf-None-Match: *\r\n\r\n")


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


async def connected(listener: Listener) -> Caller:
    return Caller(*await asyncio.open_connection(listener.bound[0].host, listener.bound[0].port))


@pytest.mark.parametrize("fast", [True, False])
async def test_a_caller_that_keeps_its_connection_is_told_that_it_ends(fast: bool) -> None:
    async with fast_listener(fast=fast) as here:
        listener = here.listener
        caller = await connected(listener)
        assert [(await caller.ask()).header("Connection") for _ in range(4)] == [None] * 4
        listener.drain()
        last = await caller.ask()
        assert (last.status, last.header("Connection")) == (200, "close")
        assert await caller.ended()


async def test_who_comes_during_the_drain_is_served_once_a_connection() -> None:
    async with fast_listener() as here:
        listener = here.listener
        listener.drain()
        for _ in range(4):
            caller = await connected(listener)
            assert (await caller.ask()).header("Connection") == "close"
            assert await caller.ended()


async def test_a_long_poll_that_began_before_is_told_too() -> None:
    provider = FakeProvider()
    provider.waits = True
    async with fast_listener(provider=provider) as here:
        listener = here.listener
        caller = await connected(listener)
        caller.writer.write(LONG_POLL)
        await provider.waiting.wait()
        listener.drain()
        provider.another.set()
        assert (await caller.reply()).header("Connection") == "close"
        assert await caller.ended()
