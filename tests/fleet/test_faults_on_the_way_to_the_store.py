"""The way between sidecars and Redis is spoiled in every manner, over whole rotations of the token, under load."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from tests.fakes.fault_proxy import FaultProxy, fault_proxy
from tests.fakes.load import Load, under_load
from tests.fakes.processes import CONFIG, Fleet, open_fleet
from tests.fakes.replica import until
from tests.fakes.way_faults import CUTTING, PASSABLE, black_hole, flapping, sliced, slow
from tests.servers import RedisServer

LIFETIME_S, REFRESH_AT_S, POLL_S, STORE_TIMEOUT_S = 12, 1.8, 0.5, 0.3
TIMES = {
    "TOKEN_LIFETIME_S": str(LIFETIME_S),
    "REFRESH_AT": "0.15",
    "PARTNER_TIMEOUT_S": "1",
    "STORE_TIMEOUT_S": str(STORE_TIMEOUT_S),
    "POLL_S": str(POLL_S),
    "FLEET_SIZE": "3",
    "CALL_BUDGET": "30/30",
}
LEASE_LIMIT_S = 1 + 2 * STORE_TIMEOUT_S + 1
AWAY_S = 1.0
"""How long a cutting fault lasts beyond the refresh point."""
NOISE_S = 2
AGREEMENT_LIMIT_S = LEASE_LIMIT_S + POLL_S + NOISE_S
SEED = 7


@asynccontextmanager
async def spoilable_fleet(folder: Path, redis: RedisServer) -> AsyncIterator[tuple[Fleet, FaultProxy]]:
    """A fleet whose partner ends tokens for real, and a way to Redis that can be spoiled."""
    config = replace(CONFIG, token_lifetime_s=LIFETIME_S)
    async with fault_proxy(redis.port, SEED) as proxy, open_fleet(folder, redis, config) as fleet:
        yield fleet, proxy


async def before_the_refresh(fleet: Fleet) -> int:
    """Wait until shortly before the next rotation; how many calls there were."""
    await until(lambda: age_s(fleet) > REFRESH_AT_S - 0.2, LIFETIME_S)
    return len(fleet.calls)


def age_s(fleet: Fleet) -> float:
    return fleet.now - fleet.calls[-1].at_monotonic


async def all_hold_the_newest(fleet: Fleet, load: Load, calls: int) -> None:
    """One more call than before, and every replica holds what it brought, within the stated bound."""
    await until(lambda: len(fleet.calls) > calls, AGREEMENT_LIMIT_S)
    await until(fleet.agree_on_the_newest, AGREEMENT_LIMIT_S)
    assert len(fleet.calls) == calls + 1
    assert not load.bad


async def store_errors(fleet: Fleet) -> float:
    """Operations on the store that failed, on all replicas together."""
    return sum([await replica.metric("store_errors_total") for replica in fleet.replicas])


async def test_no_fault_costs_an_answer_or_a_call(tmp_path: Path, own_redis_server: RedisServer) -> None:
    """Twelve rotations, each under another fault for all replicas: one call each, and none while there is no store."""
    async with spoilable_fleet(tmp_path, own_redis_server) as (fleet, proxy):
        fleet.settings["SIDECAR_STORE"] = f"redis://127.0.0.1:{proxy.port}"
        await fleet.ready(3, STORE_FAILURE="fail", **TIMES)
        async with under_load(fleet) as load:
            for begin in PASSABLE.values():
                calls, errors = await before_the_refresh(fleet), await store_errors(fleet)
                begin(proxy)
                await all_hold_the_newest(fleet, load, calls)
                await proxy.heal()
                assert (await store_errors(fleet) > errors) == (begin not in (slow, sliced)), "the fault did nothing"
            for begin in CUTTING.values():
                calls, errors = await before_the_refresh(fleet), await store_errors(fleet)
                begin(proxy)
                await until(lambda: age_s(fleet) > REFRESH_AT_S + AWAY_S, LIFETIME_S)
                assert len(fleet.calls) == calls
                assert await store_errors(fleet) >= errors + 3, "the fault did not reach every replica"
                await proxy.heal()
                await all_hold_the_newest(fleet, load, calls)
            calls = await before_the_refresh(fleet)
            async with flapping(proxy, SEED):
                await until(lambda: len(fleet.calls) > calls, LIFETIME_S)
            await all_hold_the_newest(fleet, load, calls)

    assert load.share_slower_than(STORE_TIMEOUT_S) < 0.01, "an answer must not wait for the store"
    assert len(fleet.calls) == 1 + len(PASSABLE) + len(CUTTING) + 1


async def test_one_replica_without_a_store_lives_on_its_share_and_comes_back(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """Two of three go on rotating; the third calls once for itself, and then takes the newest again."""
    async with spoilable_fleet(tmp_path, own_redis_server) as (fleet, proxy):
        await fleet.ready(2, **TIMES)
        alone = (await fleet.ready(1, STORE=f"redis://127.0.0.1:{proxy.port}", **TIMES))[0]
        async with under_load(fleet) as load:

            async def own_calls() -> float:
                return await alone.metric("partner_requests_total")

            async def called_alone() -> bool:
                return await own_calls() == before + 1

            before = await own_calls()
            black_hole(proxy)
            await until(called_alone, LIFETIME_S)
            await proxy.heal()
            await until(fleet.agree_on_the_newest, AGREEMENT_LIMIT_S)
            async with flapping(proxy, SEED):
                calls = len(fleet.calls)
                await until(lambda: len(fleet.calls) > calls + 1, LIFETIME_S)
            await until(fleet.agree_on_the_newest, AGREEMENT_LIMIT_S)

    assert not load.bad
    assert load.share_slower_than(STORE_TIMEOUT_S) < 0.01
    assert sum(gap_s < REFRESH_AT_S - 0.5 for gap_s in fleet.gaps_s) <= 2, "one call of its own, before or after theirs"
