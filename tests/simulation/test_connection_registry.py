"""The registry of connections: checks, the end of the listener, and the report that most connections have ended."""

from __future__ import annotations

import asyncio

from sidecar.web.server.connection_registry import MANY_CONNECTIONS
from tests.support.managed_connections import ObservedRegistry
from tests.support.virtual_loop import running_loop
from tests.support.virtual_time import virtual


@virtual
async def test_a_connection_that_exceeds_a_limit_is_ended_at_the_next_check() -> None:
    slots = ObservedRegistry(8)
    slow, other = slots.fill("receiving", "receiving")
    slow.limit = "slow-headers"
    await asyncio.sleep(2)
    assert slots.gone(slow, other) == [True, False]
    assert slots.hit == ["slow-headers"]
    assert len(slots.registry) == 1


@virtual
async def test_the_end_of_the_listener_ends_connections_without_a_request() -> None:
    slots = ObservedRegistry(8)
    idle, receiving, polling, answering = slots.fill("idle", "receiving", "polling", "responding")
    slots.registry.close()
    assert slots.gone(idle, receiving, polling, answering) == [True, True, False, False]
    assert len(slots.registry) == 2


@virtual
async def test_the_end_of_most_of_many_connections_is_reported_once() -> None:
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
async def test_the_end_of_all_connections_before_the_first_check_is_reported_too() -> None:
    slots = ObservedRegistry(2 * MANY_CONNECTIONS)
    for connection in slots.fill_with("idle", MANY_CONNECTIONS):
        slots.registry.remove(connection)
    await asyncio.sleep(10)
    assert slots.left == [0]


@virtual
async def test_the_end_of_a_few_connections_is_not_reported() -> None:
    slots = ObservedRegistry(2 * MANY_CONNECTIONS)
    for connection in slots.fill_with("idle", MANY_CONNECTIONS - 1):
        slots.registry.remove(connection)
    await asyncio.sleep(10)
    assert slots.left == []


@virtual
async def test_without_connections_nothing_is_checked() -> None:
    slots = ObservedRegistry(2)
    slots.registry.remove(slots.add())
    await asyncio.sleep(10)
    # A loop of virtual time ends at once when it has only this to wait for.
    assert not running_loop().timers()
