"""Which connection is closed for a new one when all slots are taken: the rules of the registry, one by one."""

from __future__ import annotations

import asyncio

from sidecar.web.server.connection_registry import MAX_TURNED_AWAY, SEND_GRACE_S
from tests.support.managed_connections import FakeConnection, ObservedRegistry
from tests.support.virtual_loop import running_loop
from tests.support.virtual_time import virtual

LONG_S = 2 * SEND_GRACE_S


@virtual
async def test_a_long_receiving_connection_is_closed_before_a_longer_idle_one() -> None:
    slots = ObservedRegistry(8)
    idle, receiving = slots.fill("idle", "receiving")
    slots.fill_with("responding", 6)
    await asyncio.sleep(LONG_S)
    slots.add()
    assert slots.gone(idle, receiving) == [False, True]
    assert slots.hit == ["connections"]
    assert len(slots.registry) == 8


@virtual
async def test_a_connection_that_has_just_begun_to_receive_is_not_closed_for_the_next() -> None:
    slots = ObservedRegistry(8)
    idle, polling = slots.fill("idle", "polling")
    slots.fill_with("responding", 5)
    await asyncio.sleep(LONG_S)
    receiving = slots.add()
    slots.add("responding")
    assert slots.gone(idle, receiving) == [True, False]
    assert not polling.gave_way


@virtual
async def test_when_a_quarter_of_the_connections_receive_the_first_of_them_is_closed_at_once() -> None:
    slots = ObservedRegistry(8)
    first, second = slots.fill("receiving", "receiving")
    slots.fill_with("idle", 6)
    slots.add()
    assert slots.gone(first, second) == [True, False]


@virtual
async def test_a_long_poll_is_answered_and_ended_before_a_connection_that_has_just_become_idle() -> None:
    slots = ObservedRegistry(4)
    first, second, idle, _ = slots.fill("polling", "polling", "idle", "responding")
    slots.add("idle")
    assert (first.gave_way, second.gave_way) == (True, False)
    assert slots.gone(first, idle) == [False, False]
    assert first.activity == "leaving"


@virtual
async def test_a_few_long_polls_may_be_ending_at_a_time_and_the_first_is_aborted_after_a_moment() -> None:
    slots = ObservedRegistry(MAX_TURNED_AWAY + 1)
    polls = slots.fill_with("polling", MAX_TURNED_AWAY + 1)
    slots.fill_with("responding", MAX_TURNED_AWAY)
    assert [poll.gave_way for poll in polls] == [True] * MAX_TURNED_AWAY + [False]
    assert not slots.registry.add(FakeConnection())
    await asyncio.sleep(LONG_S)
    slots.add("responding")
    assert slots.gone(*polls) == [True] + [False] * MAX_TURNED_AWAY
    assert polls[-1].gave_way


@virtual
async def test_without_long_polls_a_connection_that_has_just_become_idle_is_closed() -> None:
    slots = ObservedRegistry(3)
    first, second, _ = slots.fill("idle", "idle", "responding")
    slots.add("responding")
    assert slots.gone(first, second) == [True, False]


@virtual
async def test_of_idle_connections_the_one_with_the_oldest_response_is_closed() -> None:
    slots = ObservedRegistry(3)
    idle = slots.fill("idle", "idle", "idle")
    await asyncio.sleep(LONG_S)
    for connection in idle[:2]:
        slots.registry.touch(connection, running_loop().time())
    slots.add("responding")
    assert slots.gone(*idle) == [False, False, True]
    await asyncio.sleep(LONG_S)
    slots.registry.touch(idle[0], running_loop().time())
    slots.add("responding")
    assert slots.gone(*idle) == [False, True, True]


@virtual
async def test_an_idle_connection_that_has_begun_a_request_is_not_closed() -> None:
    slots = ObservedRegistry(2)
    first, second = slots.fill("idle", "idle")
    await asyncio.sleep(LONG_S)
    first.awaits_response = True
    slots.add("responding")
    assert slots.gone(first, second) == [False, True]
    assert first.activity == "responding"


@virtual
async def test_when_all_connections_await_responses_new_ones_are_refused_a_few_at_a_time() -> None:
    slots = ObservedRegistry(2)
    waiting = slots.fill("responding", "responding")
    turned_away = [FakeConnection() for _ in range(MAX_TURNED_AWAY + 1)]
    assert [slots.registry.add(connection) for connection in turned_away] == [False] * (MAX_TURNED_AWAY + 1)
    assert slots.gone(*waiting, *turned_away) == [False] * 2 + [True] + [False] * MAX_TURNED_AWAY
    assert len(slots.registry) == 2 + MAX_TURNED_AWAY
    slots.registry.remove(waiting[0])
    slots.add()


@virtual
async def test_of_too_many_unfinished_bodies_the_oldest_is_refused() -> None:
    slots = ObservedRegistry(8)
    first, second, third = slots.fill_with("responding", 3)
    slots.registry.begin_body(first)
    slots.registry.begin_body(second)
    slots.registry.begin_body(third)
    assert [one.gave_way for one in (first, second, third)] == [True, False, False]
    assert slots.hit == ["slow-body"]
    slots.registry.end_body(second)
    slots.registry.begin_body(first)
    assert (second.gave_way, third.gave_way) == (False, False)


@virtual
async def test_an_ended_connection_waits_for_no_body() -> None:
    """Whether it ended before or while its body was waited for."""
    slots = ObservedRegistry(8)
    early, late, third, fourth = slots.fill_with("responding", 4)
    slots.registry.remove(early)
    slots.registry.begin_body(early)
    slots.registry.begin_body(late)
    slots.registry.remove(late)
    slots.registry.begin_body(third)
    slots.registry.begin_body(fourth)
    assert slots.hit == []


@virtual
async def test_a_long_poll_that_is_ending_takes_no_slot() -> None:
    slots = ObservedRegistry(2)
    slots.fill("polling", "responding")
    third = slots.add("responding")
    slots.registry.remove(third)
    slots.add("responding")
    assert slots.hit == ["connections"]
    assert len(slots.registry) == 3


@virtual
async def test_an_ended_or_ending_connection_takes_no_slot_again() -> None:
    slots = ObservedRegistry(8)
    ended, ending = slots.fill("idle", "polling")
    slots.registry.remove(ended)
    slots.registry.set_activity(ended, "responding")
    slots.registry.touch(ended, 1)
    assert len(slots.registry) == 1
    slots.fill_with("responding", 7)
    slots.add("responding")
    assert ending.activity == "leaving"
    slots.registry.set_activity(ending, "idle")
    assert ending.activity == "leaving"
