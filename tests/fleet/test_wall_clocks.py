"""Wall clocks step by a day while processes run: those of all sidecars, of one sidecar, or of Redis."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from sidecar.core.model import Budget
from sidecar.sandbox.faults import Fault
from tests.conftest import short_folder
from tests.servers import RedisServer
from tests.support.load import under_load
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.programs import needs
from tests.support.replica import Replica, until
from tests.support.stored_coordination import coordination_in_redis
from tests.support.wall_clock import DAY_S, WallClock

pytestmark = needs("faketime")

LIFETIME_S, REFRESH_AT_S, POLL_S = 24, 2.4, 0.3
TIMES = {
    "TOKEN_LIFETIME_S": str(LIFETIME_S),
    "REFRESH_AT": "0.1",
    "PARTNER_TIMEOUT_S": "5",
    "STORE_TIMEOUT_S": "0.5",
    "POLL_S": str(POLL_S),
}
PARTNER = replace(CONFIG, token_lifetime_s=LIFETIME_S)
SHORT_S = 1000
"""Longer than every cool-down and window in Redis, but shorter than the time for which it keeps the token."""
COOLDOWN_S = 6
ROUNDING_S = 1 + 2 * POLL_S
STEP_NOISE_S = 60
"""Less than any step."""


async def next_call(fleet: Fleet) -> None:
    calls = len(fleet.calls)
    await until(lambda: len(fleet.calls) > calls)


async def days_ahead(replica: Replica) -> int:
    """Return how many days the wall clock of the replica is ahead, by the time of its next refresh."""
    refresh_at = datetime.fromisoformat((await replica.status())["nextRefreshAt"]).timestamp()
    return round((refresh_at - time.time()) / DAY_S)


async def test_steps_of_the_sidecars_clocks_change_nothing(tmp_path: Path, own_redis_server: RedisServer) -> None:
    """Set all a day ahead, then a day behind, then only some, each for one rotation."""
    async with open_fleet(tmp_path, own_redis_server, PARTNER) as fleet:
        clocks: list[WallClock] = []
        for name in ("a", "b", "c"):
            (tmp_path / name).mkdir()
            clocks.append(WallClock(tmp_path / name))
            fleet.settings.update(clocks[-1].environ)
            await fleet.ready(1, CALL_BUDGET="30/300", **TIMES)
        async with under_load(fleet) as load:
            for steps in ((DAY_S,) * 3, (-DAY_S,) * 3, (0, DAY_S, -DAY_S)):
                await next_call(fleet)
                for clock, step in zip(clocks, steps, strict=True):
                    clock.step(step)
                assert [await days_ahead(replica) for replica in fleet.replicas] == [step // DAY_S for step in steps]
                for replica in fleet.replicas:
                    asked_at = fleet.now
                    vended = (await replica.ask()).body
                    ends_at = fleet.ends_at[vended["tokenId"]]
                    # On a busy machine the partner counts the lifetime from much later than the sidecars do.
                    assert ends_at - fleet.now - LIFETIME_S / 2 < vended["expiresIn"] < ends_at - asked_at + ROUNDING_S
            await next_call(fleet)
        coordination = coordination_in_redis(own_redis_server)
        assert coordination is not None
        assert len(coordination.grants) >= len(fleet.calls)

    assert not load.bad
    granted_at = [grant.at_ms / 1000 for grant in coordination.grants]  # by the clock of Redis, which was not set here
    gaps_s = [later - earlier for earlier, later in itertools.pairwise(granted_at)]
    assert min(gaps_s) > REFRESH_AT_S / 2, "a call caused by a step would follow it at once"


@pytest.fixture
def redis_clock(tmp_path: Path) -> WallClock:
    return WallClock(tmp_path)


@pytest.fixture
def stepped_redis(redis_clock: WallClock, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(short_folder(tmp_path_factory), environ=redis_clock.environ).start()
    yield server
    server.stop()


async def step(fleet: Fleet, clock: WallClock, ahead_s: int) -> None:
    clock.step(ahead_s)
    assert abs(fleet.redis.command("TIME")[0] - time.time() - ahead_s) < STEP_NOISE_S, "the step had no effect"
    await fleet.looked()  # each replica has read it


async def all_cool_down(fleet: Fleet) -> bool:
    """Return whether every replica has read it: only what a replica holds can be stored again."""
    return all([await replica.metric("cooldown_until_timestamp_seconds") > 0 for replica in fleet.replicas])


async def test_steps_of_the_stores_clock_cost_no_response_and_no_call(
    tmp_path: Path, stepped_redis: RedisServer, redis_clock: WallClock
) -> None:
    """Step forward with a valid token and during a cool-down, which ends for Redis; then back by over a day."""
    async with open_fleet(tmp_path, stepped_redis, PARTNER) as fleet:
        await fleet.ready(3, CALL_BUDGET="30/60", **TIMES)
        async with under_load(fleet) as load:
            # A day is longer than Redis keeps the token.
            await step(fleet, redis_clock, DAY_S)
            fleet.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after=str(COOLDOWN_S)))
            await next_call(fleet)
            await until(lambda: all_cool_down(fleet))
            await step(fleet, redis_clock, DAY_S + SHORT_S)
            await next_call(fleet)
            await step(fleet, redis_clock, -DAY_S)
            await next_call(fleet)
            await next_call(fleet)
        gaps_s = await fleet.begun_gaps_s()

    assert not load.bad
    assert [call.status for call in fleet.calls[:5]] == [200, 429, 200, 200, 200]
    assert fleet.gaps_s[1] >= COOLDOWN_S
    assert min(gaps_s) > REFRESH_AT_S / 2, "a call caused by a step would follow it at once"


async def test_a_store_that_treats_the_window_as_over_gets_the_spent_permits(
    tmp_path: Path, stepped_redis: RedisServer, redis_clock: WallClock
) -> None:
    """An app reports every token while the clock of Redis is set ahead again and again: the budget holds."""
    budget = Budget(4, 300)
    async with open_fleet(tmp_path, stepped_redis, PARTNER) as fleet:
        settings = {
            **TIMES,
            "TOKEN_LIFETIME_S": "900",
            "REFRESH_AT": "0.7",
            "CALL_BUDGET": f"{budget.calls}/{budget.window_s}",
        }
        replicas = await fleet.ready(3, **settings)
        verdicts: list[str] = []
        for number in range(1, 5):
            verdicts += [await replica.report((await replica.ask()).token_id) for replica in replicas]
            await fleet.looked()  # a replica can only restore what it has read
            await step(fleet, redis_clock, number * SHORT_S)
        assert {"refreshing", "later"} <= set(verdicts)
        assert len(fleet.calls) == 1 + budget.caller_requested_calls
