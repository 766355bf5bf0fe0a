"""Which connections there are, which are ended by checks and at the end, and when most of many have ended."""

from __future__ import annotations

import asyncio

from sidecar.web.server.connection_registry import MANY_CONNECTIONS
from tests.support.managed_connections import ObservedRegistry
from tests.support.virtual_loop import running_loop
from tests.support.virtual_time import virtual


@virtual
async def test_one_that_exceeds_a_limit_is_ended_at_the_next_check() -> None:
    slots = ObservedRegistry(8)
    slow, other = slots.fill("receiving", "receiving")
    slow.limit = "slow-headers"
    await asyncio.sleep(2)
    assert slots.gone(slow, other) == [True, False]
    assert slots.hit == ["slow-headers"]
    assert len(slots.registry) == 1


@virtual
async def test_the_end_of_the_listener_ends_those_that_are_owed_nothing() -> None:
    slots = ObservedRegistry(8)
    idle, receiving, polling, answering = slots.fill("idle", "receiving", "polling", "responding")
    slots.registry.close()
    assert slots.gone(idle, receiving, polling, answering) == [True, True, False, False]
    assert len(slots.registry) == 2


@virtual
async def test_that_most_of_many_have_ended_is_told_once() -> None:
    slots = ObservedRegistry(2 * MANY_CONNECTIONS)
    connections = slots.fill_with("responding", MANY_CONNECTIONS)
    await asyncio.sleep(10)
    for connection in connections[10:]:
        slots.registry.remove(connection)
    assert slots.left == []
    await asyncio.sleep(10)
    for connection in connections[:10]:
        slots.registry.remove(connection)
    await asyncio.sleep(10)
    assert slots.left == [10]


@virtual
async def test_that_all_ended_before_the_first_check_is_told_too() -> None:
    slots = ObservedRegistry(2 * MANY_CONNECTIONS)
    for connection in slots.fill_with("idle", MANY_CONNECTIONS):
        slots.registry.remove(connection)
    await asyncio.sleep(10)
    assert slots.left == [0]


@virtual
async def test_the_end_of_a_few_is_not_told() -> None:
    slots = ObservedRegistry(2 * MANY_CONNECTIONS)
    for connection in slots.fill_with("idle", MANY_CONNECTIONS - 1):
        slots.registry.remove(connection)
    await asyncio.sleep(10)
    assert slots.left == []


@virtual
async def test_nothing_is_checked_where_there_is_no_connection() -> None:
    slots = ObservedRegistry(2)
    slots.registry.remove(slots.add())
    await asyncio.sleep(10)
    # A loop of virtual time that has nothing to wait for but this ends at once.
    assert not running_loop().timers()
