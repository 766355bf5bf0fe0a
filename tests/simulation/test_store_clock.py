"""Steps of the store's clock: replicas detect them with their monotonic clocks, and restore what they remember."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.core.errors import CoolingDownError, FailureKind
from sidecar.core.events import StoreClockStepped
from sidecar.core.model import Budget, Profile
from sidecar.vending.store_clock import CLOCK_STEP_S, StoreTime
from tests.support.fleet import Fleet
from tests.support.hand_clock import HandClock
from tests.support.partner import failure
from tests.support.virtual_time import virtual

DAY_S = 86_400


@pytest.mark.parametrize("step_s", [800, DAY_S])
@virtual
async def test_a_store_clock_that_is_set_ahead_causes_no_call_and_no_failed_request(step_s: float) -> None:
    """Neither for replicas that hold the token, nor for a later one that reads it from the store."""
    fleet = Fleet()
    replicas = fleet.start(3)
    await replicas[0].token()
    await asyncio.sleep(10)
    fleet.clock.set_forward_s += step_s
    await asyncio.sleep(fleet.profile.poll_s)
    (newcomer,) = fleet.start(1)
    assert await newcomer.token() == "token-1"
    left_s = [(await replica.broker.vend()).expires_in_s for replica in fleet.replicas]
    assert max(left_s) - min(left_s) <= 2
    assert fleet.partner.count == 1
    assert sum(len(replica.sink.of(StoreClockStepped)) for replica in replicas) >= 1
    await fleet.stop()


@virtual
async def test_the_shown_lifetime_does_not_depend_on_the_machines_clock() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    await replica.token()
    await asyncio.sleep(10)
    replica.broker.clock.wall_step_s += DAY_S  # type: ignore[attr-defined]  # a virtual one
    assert replica.broker.snapshot().left_s == pytest.approx(890, abs=1)
    await fleet.stop()


@virtual
async def test_a_cool_down_outlives_a_store_clock_that_is_set_ahead() -> None:
    fleet = Fleet()
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=300))
    replicas = fleet.start(3)
    await asyncio.sleep(10)
    fleet.clock.set_forward_s += DAY_S
    await asyncio.sleep(280)
    assert fleet.partner.count == 1
    with pytest.raises(CoolingDownError):
        await replicas[2].token()
    await asyncio.sleep(20)
    assert fleet.partner.count == 2
    await fleet.stop()


@virtual
async def test_the_budget_outlives_a_store_clock_that_is_set_ahead() -> None:
    fleet = Fleet(Profile(base_url="https://partner.example", budget=Budget(2, 3600)))
    fleet.partner.script.extend([failure(FailureKind.SERVER_ERROR)] * 5)
    fleet.start(3)
    await asyncio.sleep(10)
    assert fleet.partner.count == 2
    fleet.clock.set_forward_s += DAY_S
    await asyncio.sleep(3500)
    assert fleet.partner.count == 2
    await fleet.stop()


@pytest.mark.parametrize("one_lives_on", [False, True])
@virtual
async def test_a_clock_that_is_set_ahead_costs_one_budget_when_no_earlier_replica_is_left(
    one_lives_on: bool,
) -> None:
    """Redis's uptime follows its wall clock too, so the step is not detected. One earlier replica prevents the cost."""
    fleet = Fleet(Profile(base_url="https://partner.example", budget=Budget(3, 3600)))
    fleet.partner.script.extend([failure(FailureKind.SERVER_ERROR)] * 100)
    replicas = fleet.start(3)
    await fleet.partner.called(3)
    await asyncio.sleep(10)
    fleet.clock.set_forward_s += DAY_S
    for replica in replicas[1:] if one_lives_on else replicas:
        await replica.kill()
    await asyncio.sleep(fleet.profile.poll_s)
    newcomers = fleet.start(2)
    await asyncio.sleep(3000)
    assert fleet.partner.count == (3 if one_lives_on else 6)
    for replica in [*newcomers, *(replicas[:1] if one_lives_on else [])]:
        await replica.stop()


@pytest.mark.parametrize("step_s", [-DAY_S, -CLOCK_STEP_S - 0.1, CLOCK_STEP_S + 0.1, DAY_S])
def test_a_clock_step_is_detected_in_either_direction(step_s: float) -> None:
    clock = HandClock()
    time = StoreTime(clock)
    time.follow(5000, clock.now)
    clock.now += 2
    assert time.step_s(5002 + step_s, clock.now) == pytest.approx(step_s)


def test_slow_replies_and_pauses_do_not_count_as_a_clock_step() -> None:
    """The first reply came after a minute and was read at once. The second came after a minute and was read late."""
    clock = HandClock()
    time = StoreTime(clock)
    asked_at = clock.now
    clock.now += 60
    assert time.step_s(5000, asked_at) == 0
    time.follow(5000, asked_at)
    asked_at = clock.now
    clock.now += 60
    assert time.step_s(5120, asked_at) == 0
    assert time.step_s(5060, asked_at) == 0
