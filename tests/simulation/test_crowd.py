"""Who is in, and when so many have gone that their memory is worth giving back."""

from __future__ import annotations

import asyncio

from sidecar.core.limits import Limit, Limits
from sidecar.core.model import Moment
from sidecar.web.crowd import MANY, Crowd, Seat
from tests.fakes.virtual_loop import running_loop
from tests.fakes.virtual_time import virtual


class Patient:
    """A guest who is owed an answer."""

    def is_owed(self) -> bool:
        return True

    def give_way(self) -> None:
        raise AssertionError("nobody is in the way")

    def half_closed_since(self) -> Moment | None:
        return None

    def overdue(self, now: Moment) -> Limit | None:
        return None

    def cut(self) -> None:
        raise AssertionError("nobody is in the way")


def crowd_of(count: int) -> tuple[Crowd, list[Seat], list[int]]:
    """A crowd, who is in it, and how many were left each time it was told to have dispersed."""
    told: list[int] = []
    crowd = Crowd(Limits(max_connections=2 * MANY), lambda _: None, lambda: told.append(len(crowd)))
    return crowd, [crowd.enter(Patient())[0] for _ in range(count)], told


@virtual
async def test_a_crowd_that_disperses_is_told_once() -> None:
    crowd, guests, told = crowd_of(MANY)
    await asyncio.sleep(10)
    for guest in guests[10:]:
        crowd.leave(guest)
    assert told == []
    await asyncio.sleep(10)
    for guest in guests[:10]:
        crowd.leave(guest)
    await asyncio.sleep(10)
    assert told == [10]


@virtual
async def test_a_crowd_that_was_gone_before_anybody_looked_is_told_too() -> None:
    crowd, guests, told = crowd_of(MANY)
    for guest in guests:
        crowd.leave(guest)
    await asyncio.sleep(10)
    assert told == [0]


@virtual
async def test_a_few_are_no_crowd() -> None:
    crowd, guests, told = crowd_of(MANY - 1)
    for guest in guests:
        crowd.leave(guest)
    await asyncio.sleep(10)
    assert told == []


@virtual
async def test_nobody_is_looked_for_where_nobody_is() -> None:
    crowd, guests, _ = crowd_of(1)
    crowd.leave(guests[0])
    await asyncio.sleep(10)
    # A loop of virtual time that has nothing to wait for but this ends at once.
    assert not running_loop().timers()
