"""Which connections there are, and when so many have ended that their memory is worth returning."""

from __future__ import annotations

import asyncio

from sidecar.core.limits import Limit, Limits
from sidecar.core.model import Moment
from sidecar.web.server.connection_registry import MANY, ConnectionRegistry, ManagedConnection
from tests.fakes.virtual_loop import running_loop
from tests.fakes.virtual_time import virtual


class Waiting(ManagedConnection):
    """A connection that is owed an answer."""

    @property
    def is_owed_answer(self) -> bool:
        return True

    def give_way(self) -> None:
        raise AssertionError("there is room")

    def overdue(self, now: Moment) -> Limit | None:
        return None

    def abort(self) -> None:
        raise AssertionError("there is room")


def registry_of(count: int) -> tuple[ConnectionRegistry, list[ManagedConnection], list[int]]:
    """A registry, its connections, and how many were left each time it said that most had ended."""
    told: list[int] = []
    registry = ConnectionRegistry(Limits(max_connections=2 * MANY), lambda _: None, lambda: told.append(len(registry)))
    connections: list[ManagedConnection] = [Waiting() for _ in range(count)]
    for connection in connections:
        assert registry.add(connection)
    return registry, connections, told


@virtual
async def test_that_most_of_many_have_ended_is_told_once() -> None:
    registry, connections, told = registry_of(MANY)
    await asyncio.sleep(10)
    for connection in connections[10:]:
        registry.remove(connection)
    assert told == []
    await asyncio.sleep(10)
    for connection in connections[:10]:
        registry.remove(connection)
    await asyncio.sleep(10)
    assert told == [10]


@virtual
async def test_that_all_ended_before_the_first_check_is_told_too() -> None:
    registry, connections, told = registry_of(MANY)
    for connection in connections:
        registry.remove(connection)
    await asyncio.sleep(10)
    assert told == [0]


@virtual
async def test_the_end_of_a_few_is_not_told() -> None:
    registry, connections, told = registry_of(MANY - 1)
    for connection in connections:
        registry.remove(connection)
    await asyncio.sleep(10)
    assert told == []


@virtual
async def test_nothing_is_checked_where_there_is_no_connection() -> None:
    registry, connections, _ = registry_of(1)
    registry.remove(connections[0])
    await asyncio.sleep(10)
    # A loop of virtual time that has nothing to wait for but this ends at once.
    assert not running_loop().timers()
