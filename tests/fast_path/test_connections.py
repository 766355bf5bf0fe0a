"""Connections that only the fast path has answered: they are kept, replaced and closed like all others."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.app.clock import SystemClock
from sidecar.core.listener_limits import Limit, Limits
from sidecar.core.partner_table import TokenHeader
from sidecar.core.process_events import LimitHit
from sidecar.web.api.app import TokenApi
from sidecar.web.api.guards import Guards, GuardSettings
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.protocol import KEEPALIVE_S
from tests.fast_path.configurations import usual
from tests.fast_path.listener import Backend, ObservedListener
from tests.fast_path.requests import USUAL, request
from tests.fast_path.transport import ClientTransport, TcpPeer, settle
from tests.support.fake_provider import FakeProvider
from tests.support.fast_listener import Counting
from tests.support.replica import HANG_S
from tests.support.room import Room, opened
from tests.support.sink import ListSink
from tests.support.virtual_time import virtual

KNOWN = request(b"/v1/token", *USUAL)
NOWHERE = request(b"/nowhere", *USUAL)
HEADER_TIMEOUT_S = 10


class Vending:
    """A listener whose fast path has stored `KNOWN`. Needs a running loop of virtual time."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.listener = ObservedListener(Backend(usual(peers=()), limits), has_fast_path=True)
        self._ports = iter(range(50_000, 60_000))

    async def connect(self) -> ClientTransport:
        """Return a client that has sent nothing yet."""
        connection = self.listener.connect(TcpPeer(next(self._ports)))
        await settle()
        return connection

    async def store(self) -> None:
        connection = await self.connect()
        for _ in range(2):
            assert await exchange(connection, KNOWN) == 200
        connection.close()
        await settle()

    async def answered_fast(self) -> ClientTransport:
        """Return a client that only the fast path has answered."""
        connection = await self.connect()
        assert await self.is_answered_fast(connection)
        return connection

    async def is_answered_fast(self, connection: ClientTransport) -> bool:
        before = self.listener.fast_responses
        assert await exchange(connection, KNOWN) == 200
        return self.listener.fast_responses == before + 1

    @property
    def hit(self) -> list[Limit]:
        return [event.limit for event in self.listener.sink.of(LimitHit)]


async def exchange(connection: ClientTransport, data: bytes) -> int:
    """Send the data; return the status of the immediate response, or 0 without one."""
    connection.written.clear()
    connection.receive(data)
    await settle()
    return int(connection.written.split(b" ", 2)[1]) if connection.written else 0


async def vending(limits: Limits | None = None) -> Vending:
    made = Vending(limits)
    await made.store()
    return made


@virtual
async def test_a_connection_that_was_answered_fast_counts_as_idle_when_a_slot_is_needed() -> None:
    """So the later connection that sent nothing is closed for the next one."""
    here = await vending(Limits(max_connections=3))
    answered = await here.answered_fast()
    silent = await here.connect()
    await here.connect()
    await here.connect()
    assert silent.is_closing()
    assert here.hit == ["connections"]
    assert await here.is_answered_fast(answered)


@virtual
async def test_of_two_idle_connections_the_one_that_was_answered_later_stays() -> None:
    here = await vending(Limits(max_connections=2))
    first, second = await here.answered_fast(), await here.answered_fast()
    await asyncio.sleep(2)
    assert await here.is_answered_fast(first)
    await here.connect()
    assert (first.is_closing(), second.is_closing()) == (False, True)


@virtual
async def test_a_connection_that_was_answered_fast_may_be_idle_for_longer_than_a_head_may_take() -> None:
    here = await vending(Limits(header_timeout_s=HEADER_TIMEOUT_S))
    answered, silent = await here.answered_fast(), await here.connect()
    await asyncio.sleep(2 * HEADER_TIMEOUT_S)
    assert (answered.is_closing(), silent.is_closing()) == (False, True)
    assert here.hit == ["slow-headers"]
    assert await here.is_answered_fast(answered)


@virtual
async def test_a_head_that_begins_after_a_fast_response_has_the_time_limit_of_a_head() -> None:
    here = await vending(Limits(header_timeout_s=HEADER_TIMEOUT_S))
    answered = await here.answered_fast()
    await asyncio.sleep(2 * HEADER_TIMEOUT_S)
    answered.receive(KNOWN[:9])
    await asyncio.sleep(HEADER_TIMEOUT_S - 1)
    assert not answered.is_closing()
    await asyncio.sleep(3)
    assert answered.is_closing()
    assert here.hit == ["slow-headers"]


@virtual
async def test_a_connection_that_is_idle_for_too_long_is_closed() -> None:
    """This does not count as an exceeded limit."""
    here = await vending()
    answered = await here.answered_fast()
    await asyncio.sleep(KEEPALIVE_S - 1)
    assert not answered.is_closing()
    await asyncio.sleep(3)
    assert answered.is_closing()
    assert here.hit == []
    assert here.listener.open_connections == 0


@pytest.mark.parametrize("before", [KNOWN, NOWHERE], ids=["known", "unknown"])
def test_a_connection_that_continues_to_send_requests_is_not_closed(before: bytes) -> None:
    @virtual
    async def test() -> None:
        here = await vending()
        answered = await here.answered_fast()
        await exchange(answered, before)
        for _ in range(5):
            await asyncio.sleep(KEEPALIVE_S - 5)
            assert await here.is_answered_fast(answered)

    test()


@virtual
async def test_a_connection_that_was_answered_fast_may_send_other_requests_and_is_answered_fast_again() -> None:
    here = await vending()
    answered = await here.answered_fast()
    assert await exchange(answered, NOWHERE) == 404
    assert await here.is_answered_fast(answered)


@virtual
async def test_a_connection_that_has_sent_a_part_of_a_head_is_never_answered_fast_again() -> None:
    """A boundary between requests may be none for a parser that has buffered bytes."""
    here = await vending()
    answered = await here.answered_fast()
    assert await exchange(answered, KNOWN[:9]) == 0
    assert await exchange(answered, KNOWN[9:]) == 200
    assert not await here.is_answered_fast(answered)


@virtual
async def test_a_connection_whose_next_request_came_before_the_response_is_never_answered_fast_again() -> None:
    here = await vending()
    answered = await here.answered_fast()
    answered.receive(NOWHERE)
    assert await exchange(answered, KNOWN) == 404
    assert answered.written.count(b"HTTP/1.1 200 OK") == 1
    assert not await here.is_answered_fast(answered)


@virtual
async def test_a_connection_that_does_not_read_is_not_answered_fast() -> None:
    """Unread responses would accumulate. The long way waits until they are read."""
    here = await vending()
    answered = await here.answered_fast()
    answered.fill()
    assert not await here.is_answered_fast(answered)
    assert await exchange(answered, KNOWN) == 0
    answered.empty()
    await settle()
    assert answered.written.startswith(b"HTTP/1.1 200 OK")


@virtual
async def test_a_connection_that_did_not_read_before_its_first_request_is_not_answered_fast() -> None:
    """The transport reports only once that its buffer is full."""
    here = await vending()
    silent = await here.connect()
    silent.fill()
    assert not await here.is_answered_fast(silent)


@virtual
async def test_a_connection_that_does_not_read_for_too_long_is_closed() -> None:
    limits = Limits(write_timeout_s=10)
    here = await vending(limits)
    answered = await here.answered_fast()
    answered.fill()
    await asyncio.sleep(limits.write_timeout_s - 1)
    assert not answered.is_closing()
    await asyncio.sleep(4)
    assert answered.is_closing()
    assert here.hit == ["slow-reader"]


@virtual
async def test_a_connection_that_half_closes_after_its_response_is_closed_at_once() -> None:
    here = await vending()
    answered = await here.answered_fast()
    answered.receive_eof()
    await settle()
    assert answered.is_closing()
    assert here.listener.open_connections == 0


async def test_a_connection_that_was_answered_fast_does_not_delay_the_end_of_the_listener() -> None:
    clock, tally = SystemClock(), Counting()
    fast_path = FastPath(clock, lambda _profile, _endpoint: tally)
    providers, guards = {"default": FakeProvider()}, Guards(GuardSettings())
    api = TokenApi(providers, guards, ListSink(), clock, {"default": TokenHeader("AccessToken")}, fast_path=fast_path)
    async with opened(Room(Limits(), api, fast_path)) as here, asyncio.timeout(HANG_S):
        first, answered = await here.caller(), await here.caller()
        for caller in (first, first, answered):
            caller.writer.write(KNOWN)
            await caller.reader.readuntil(b"}")
        assert len(tally.counted) == 1
        await here.listener.stop(10 * HANG_S)
        assert await answered.end() == b""
