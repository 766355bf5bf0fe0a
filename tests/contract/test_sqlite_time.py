"""Restarts, reboots and steps of the wall clock: what the file remembers, and for how long."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.shared_state import CoolingDown, Held, LearnedLifetime
from tests.contract.sqlite_world import SqliteWorld
from tests.contract.worlds import LIMIT_S, PROFILE, a_failure, a_token, an_ask, failed, fetched, grant_ages_s, granted

DAY_S = 86_400


async def restarted(world: SqliteWorld) -> None:
    """The process ends and another begins."""
    await world.store.close()
    world.store = world.another()


def rebooted(world: SqliteWorld, off_s: float) -> None:
    world.advance(off_s)
    world.readings.boot_id, world.readings.uptime = "boot-2", 1_000


async def test_a_restart_forgets_nothing(sqlite_world: SqliteWorld) -> None:
    shared = sqlite_world.store.shared_state(PROFILE)
    token = await fetched(shared)
    await failed(shared, FailureKind.THROTTLED, 30, known=token.fence)
    before = await shared.peek(0)
    await restarted(sqlite_world)
    assert await sqlite_world.store.shared_state(PROFILE).peek(0) == before


@pytest.mark.parametrize("step_s", [DAY_S, -DAY_S])
async def test_a_step_of_the_wall_clock_ends_no_cool_down_and_ages_no_token(
    sqlite_world: SqliteWorld, step_s: int
) -> None:
    shared = sqlite_world.store.shared_state(PROFILE)
    token = await fetched(shared)
    await failed(shared, FailureKind.THROTTLED, 30, known=token.fence)
    before = await shared.peek(0)
    sqlite_world.readings.wall += step_s * 1000
    await restarted(sqlite_world)
    assert await sqlite_world.store.shared_state(PROFILE).peek(0) == before


async def test_a_cool_down_runs_on_through_a_reboot_and_a_lease_ends_in_it(sqlite_world: SqliteWorld) -> None:
    shared = sqlite_world.store.shared_state(PROFILE)
    _, grant = await granted(shared)
    await shared.fail(a_failure("r/t", grant.fence, FailureKind.THROTTLED, 100, "credentials-1"))
    await restarted(sqlite_world)
    rebooted(sqlite_world, off_s=40)
    state = await sqlite_world.store.shared_state(PROFILE).peek(0)
    assert state.pause is not None
    assert state.pause.left_s == pytest.approx(60)
    assert state.lease_left_s == 0
    assert grant_ages_s(state) == (40,)


async def test_looking_after_a_reboot_is_enough_to_start_the_clock(sqlite_world: SqliteWorld) -> None:
    """Even where the wall clock is years behind: what runs keeps its length, and ends."""
    shared = sqlite_world.store.shared_state(PROFILE)
    await shared.fail(a_failure("r/t", 1, FailureKind.THROTTLED, 100, "credentials-1"))
    rebooted(sqlite_world, off_s=40)
    sqlite_world.readings.wall = 0
    first = (await shared.peek(0)).pause
    sqlite_world.advance(30)
    second = (await shared.peek(0)).pause
    assert first is not None
    assert second is not None
    assert (first.left_s, second.left_s) == (100, 70)


async def test_fences_grow_through_reboots(sqlite_world: SqliteWorld) -> None:
    shared = sqlite_world.store.shared_state(PROFILE)
    _, before = await granted(shared)
    rebooted(sqlite_world, off_s=LIMIT_S)
    sqlite_world.readings.wall = 0
    await shared.peek(0)
    sqlite_world.advance(LIMIT_S)
    _, after = await granted(shared)
    assert after.fence > before.fence


async def test_a_clock_that_cannot_be_read_is_a_loss_of_the_data(sqlite_world: SqliteWorld) -> None:
    """Nothing that is dated by it could be believed."""
    shared = sqlite_world.store.shared_state(PROFILE)
    token = await fetched(shared)
    epoch = (await shared.peek(0)).epoch
    with closing(sqlite3.connect(sqlite_world.path)) as connection, connection:
        connection.execute("UPDATE kept SET document = '{\"boot_id\": 1}' WHERE name = 'clock'")
    seen = await shared.peek(0)
    assert (seen.damaged, seen.epoch, seen.token_id) == (("gate",), "", "")
    assert (await shared.peek(0)).damaged == ()
    assert isinstance((await shared.claim(an_ask(epoch=epoch, fence=token.fence))).outcome, Held)


async def test_what_nobody_changed_for_a_week_is_deleted_at_a_write(sqlite_world: SqliteWorld) -> None:
    shared = sqlite_world.store.shared_state(PROFILE)
    await failed(shared, FailureKind.TIMEOUT, 0)
    sqlite_world.advance(7 * DAY_S - 1)
    assert (await shared.peek(0)).epoch
    sqlite_world.advance(1)
    assert (await shared.peek(0)).epoch == ""
    await sqlite_world.store.ping()
    with closing(sqlite3.connect(sqlite_world.path)) as connection:
        assert connection.execute("SELECT name FROM kept").fetchall() == [("clock",)]


async def test_nothing_is_written_where_nothing_changes(sqlite_world: SqliteWorld) -> None:
    """Who waits for a lease asks again and again: a write each time would wear the disk."""
    shared = sqlite_world.store.shared_state(PROFILE)
    _, grant = await granted(shared)
    await shared.claim(an_ask())
    before = _version(sqlite_world)
    assert isinstance((await shared.claim(an_ask())).outcome, Held)
    await shared.peek(0)
    await shared.reject("none", 0)
    assert _version(sqlite_world) == before
    await shared.commit("r/other", a_token(grant.fence), 0, LearnedLifetime())
    assert _version(sqlite_world) != before


async def test_a_cool_down_survives_the_process(sqlite_world: SqliteWorld) -> None:
    await failed(sqlite_world.store.shared_state(PROFILE), FailureKind.THROTTLED, 30)
    await restarted(sqlite_world)
    assert isinstance((await sqlite_world.store.shared_state(PROFILE).claim(an_ask())).outcome, CoolingDown)


def _version(world: SqliteWorld) -> bytes:
    """The file's bytes: every commit counts up in them."""
    return world.path.read_bytes()
