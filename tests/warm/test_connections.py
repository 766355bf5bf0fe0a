"""Connections that only ever ask the plain question: no handler is made for them, and they end like all others."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from sidecar.app.clock import SystemClock
from sidecar.core.limits import Limits
from sidecar.web.guards import Guards, GuardSettings
from sidecar.web.token_api import TokenApi
from sidecar.web.warm import WarmAnswers
from tests.fakes.replica import HANG_S
from tests.fakes.room import Caller, Room, opened
from tests.fakes.sink import ListSink
from tests.fakes.vendor import FakeVendor, vended
from tests.fakes.wire import PLAIN
from tests.fuzz.conversation import settle
from tests.warm.test_table import Counting
from tests.warm.twins import Twins


class WarmRoom(Room):
    """A vending listener whose answers are warm once its question was asked twice."""

    def __init__(self, limits: Limits) -> None:
        clock, vendor = SystemClock(), FakeVendor()
        self.tally = Counting()
        vendor.now = vended(good_until=clock.monotonic() + 3600)
        warm = WarmAnswers(clock, lambda _profile, _endpoint: self.tally)
        api = TokenApi(
            {"default": vendor}, Guards(GuardSettings()), ListSink(), clock, {"default": "AccessToken"}, warm=warm
        )
        super().__init__(limits, api, warm)

    async def asked_warm(self) -> Caller:
        """A caller that has had warm answers alone."""
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


def warm_room(limits: Limits | None = None) -> AbstractAsyncContextManager[WarmRoom]:
    return opened(WarmRoom(limits or Limits()))


async def test_a_warm_caller_is_no_stranger_when_room_is_made() -> None:
    async with warm_room(Limits(max_connections=3)) as here:
        caller = await here.asked_warm()
        stranger = await here.caller()
        await here.has(3)
        await here.caller()
        assert await stranger.end() == b""
        await ask(caller)


async def test_a_warm_caller_may_rest_for_longer_than_a_head_may_take() -> None:
    async with warm_room(Limits(header_timeout_s=1)) as here:
        caller = await here.asked_warm()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(caller.reader.read(1), 1.5)
        await ask(caller)
        assert here.hit == []


async def test_a_warm_caller_that_rests_too_long_is_hung_up_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sidecar.web.stranger.KEEPALIVE_S", 0.2)
    async with warm_room(Limits(header_timeout_s=0.4)) as here:
        caller = await here.asked_warm()
        assert await caller.end() == b""
        assert here.hit == []


@pytest.mark.parametrize("place", ["stranger", "connection"])
async def test_a_caller_that_goes_on_to_ask_is_not_hung_up_on(place: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything else was asked of it, and after."""
    monkeypatch.setattr(f"sidecar.web.{place}.KEEPALIVE_S", 2)
    async with warm_room(Limits(header_timeout_s=2)) as here:
        caller = await here.asked_warm()
        if place == "connection":
            caller.writer.write(PLAIN.replace(b"/v1/token", b"/nowhere"))
            await caller.reader.readuntil(b"}")
        for _ in range(8):
            await ask(caller)
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(caller.reader.read(1), 0.5)


async def test_a_warm_caller_may_go_on_to_ask_anything() -> None:
    async with warm_room() as here:
        caller = await here.asked_warm()
        caller.writer.write(PLAIN.replace(b"/v1/token", b"/nowhere"))
        assert (await caller.reader.readuntil(b"}")).startswith(b"HTTP/1.1 404 ")
        await ask(caller)


async def test_the_end_of_the_listener_is_not_held_up_by_a_warm_caller() -> None:
    async with warm_room() as here:
        caller = await here.asked_warm()
        async with asyncio.timeout(HANG_S):
            await here.listener.stop(10 * HANG_S)
        assert await caller.end() == b""


async def test_who_does_not_read_gets_no_warm_answers() -> None:
    """They would pile up; the long way waits until they are read."""
    twins = Twins(callers=1)
    twins.connect()
    wire = twins.warm.wires[0]
    for _ in range(4):
        await twins.send(0, PLAIN)
    before = sum(twins.tallies.counted.values())
    assert before > 0
    for _ in range(2):
        wire.protocol.pause_writing()
        await twins.warm.send(0, PLAIN)
        assert sum(twins.tallies.counted.values()) == before
        wire.protocol.resume_writing()
        await settle(wire)
    await twins.send(0, PLAIN)
    assert sum(twins.tallies.counted.values()) == before + 1
    await twins.hang_up()


async def test_a_stranger_that_does_not_read_is_one_still_when_it_is_known() -> None:
    """The transport says only once that it is full, and to whoever is its protocol then."""
    twins = Twins(callers=3)
    twins.connect()
    for _ in range(3):
        await twins.send(0, PLAIN)
    wire = twins.warm.wires[1]
    await twins.send(1, PLAIN)
    before = sum(twins.tallies.counted.values())
    wire.protocol.pause_writing()
    await twins.warm.send(1, PLAIN)
    assert sum(twins.tallies.counted.values()) == before
    wire.protocol.resume_writing()
    await settle(wire)
    assert wire.written.count(b"HTTP/1.1 200 OK") == 2
    await twins.hang_up()
