"""Connections that were answered by the fast path alone: no handler is made for them, and they end like all others."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from sidecar.app.clock import SystemClock
from sidecar.core.limits import Limits
from sidecar.web.guards import Guards, GuardSettings
from sidecar.web.server.fast_path import FastPath
from sidecar.web.token_api import TokenApi
from tests.fakes.replica import HANG_S
from tests.fakes.room import Caller, Room, opened
from tests.fakes.sink import ListSink
from tests.fakes.vendor import FakeVendor, vended
from tests.fakes.wire import PLAIN
from tests.fast_path.learner import Counting


class FastRoom(Room):
    """A vending listener with the fast path, which knows a request that was answered twice."""

    def __init__(self, limits: Limits) -> None:
        clock, vendor = SystemClock(), FakeVendor()
        self.tally = Counting()
        vendor.now = vended(good_until=clock.monotonic() + 3600)
        fast_path = FastPath(clock, lambda _profile, _endpoint: self.tally)
        api = TokenApi(
            {"default": vendor},
            Guards(GuardSettings()),
            ListSink(),
            clock,
            {"default": "AccessToken"},
            fast_path=fast_path,
        )
        super().__init__(limits, api, fast_path)

    async def answered_fast(self) -> Caller:
        """A client that was answered by the fast path alone."""
        first, caller = await self.caller(), await self.caller()
        for _ in range(3):
            await ask(first)
        before = len(self.tally.counted)
        await ask(caller)
        assert len(self.tally.counted) == before + 1
        return caller


async def ask(caller: Caller) -> None:
    caller.writer.write(PLAIN)
    assert (await asyncio.wait_for(caller.reader.readuntil(b"}"), HANG_S)).startswith(b"HTTP/1.1 200 OK\r\n")


def fast_room(limits: Limits | None = None) -> AbstractAsyncContextManager[FastRoom]:
    return opened(FastRoom(limits or Limits()))


async def test_a_client_that_was_answered_fast_counts_as_idle_when_room_is_made() -> None:
    async with fast_room(Limits(max_connections=3)) as here:
        caller = await here.answered_fast()
        silent = await here.caller()
        await here.has(3)
        await here.caller()
        assert await silent.end() == b""
        await ask(caller)


async def test_a_client_that_was_answered_fast_may_rest_for_longer_than_a_head_may_take() -> None:
    async with fast_room(Limits(header_timeout_s=1)) as here:
        caller = await here.answered_fast()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.reader.read(1), 1.5)
        await ask(caller)
        assert here.hit == []


async def test_a_client_that_was_answered_fast_that_rests_too_long_is_hung_up_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sidecar.web.server.protocol.KEEPALIVE_S", 0.2)
    async with fast_room(Limits(header_timeout_s=0.4)) as here:
        caller = await here.answered_fast()
        assert await caller.end() == b""
        assert here.hit == []


@pytest.mark.parametrize("place", ["alone", "after another request"])
async def test_a_caller_that_goes_on_to_ask_is_not_hung_up_on(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything else was asked of it, and after."""
    monkeypatch.setattr("sidecar.web.server.protocol.KEEPALIVE_S", 2)
    async with fast_room(Limits(header_timeout_s=2)) as here:
        caller = await here.answered_fast()
        if place != "alone":
            caller.writer.write(PLAIN.replace(b"/v1/token", b"/nowhere"))
            await caller.reader.readuntil(b"}")
        for _ in range(8):
            await ask(caller)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(caller.reader.read(1), 0.5)


async def test_a_client_that_was_answered_fast_may_go_on_to_ask_anything() -> None:
    async with fast_room() as here:
        caller = await here.answered_fast()
        caller.writer.write(PLAIN.replace(b"/v1/token", b"/nowhere"))
        assert (await caller.reader.readuntil(b"}")).startswith(b"HTTP/1.1 404 ")
        await ask(caller)


async def test_the_end_of_the_listener_is_not_held_up_by_a_client_that_was_answered_fast() -> None:
    async with fast_room() as here:
        caller = await here.answered_fast()
        async with asyncio.timeout(HANG_S):
            await here.listener.stop(10 * HANG_S)
        assert await caller.end() == b""
