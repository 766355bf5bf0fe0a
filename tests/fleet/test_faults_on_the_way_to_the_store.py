"""Faults of the connections to Redis, through whole rotations of the token, under load."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.stores.redis.client import Script
from sidecar.stores.redis.store import CLAIM, PEEK
from tests.servers import RedisServer
from tests.support.fault_proxy import FaultProxy, ProxiedConnection, fault_proxy
from tests.support.load import Load, under_load
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import HANG_S, Replica, until
from tests.support.way_faults import CUTTING, PASSABLE, black_hole, deaf, flapping, sliced, slow

LIFETIME_S, REFRESH_AT_S, STORE_TIMEOUT_S = 25, 2.5, 1
TIMES = {
    "TOKEN_LIFETIME_S": str(LIFETIME_S),
    "REFRESH_AT": "0.1",
    "PARTNER_TIMEOUT_S": "3",
    "STORE_TIMEOUT_S": str(STORE_TIMEOUT_S),
    "POLL_S": "0.5",
    "FLEET_SIZE": "3",
    "CALL_BUDGET": "30/30",
}
DUE_AFTER_S = REFRESH_AT_S - 2 * STORE_TIMEOUT_S
"""The least time from the beginning of one call to the next; see `Fleet.begun_gaps_s`."""
HANGING = {"STORE_TIMEOUT_S": "10", "TOKEN_LIFETIME_S": "40", "REFRESH_AT": "0.1"}
AWAY_S = 1.0
"""How long a cutting fault lasts beyond the refresh point."""
SEED = 7


@asynccontextmanager
async def fleet_behind_proxy(folder: Path, redis: RedisServer) -> AsyncIterator[tuple[Fleet, FaultProxy]]:
    """A fleet whose partner ends tokens for real, and a proxy to Redis that can cause faults."""
    config = replace(CONFIG, token_lifetime_s=LIFETIME_S)
    async with fault_proxy(redis.port, SEED) as proxy, open_fleet(folder, redis, config) as fleet:
        yield fleet, proxy


async def before_the_refresh(fleet: Fleet) -> None:
    """Wait until shortly before the next rotation."""
    await until(lambda: REFRESH_AT_S > age_s(fleet) > REFRESH_AT_S - 0.2)


def age_s(fleet: Fleet) -> float:
    return fleet.now - fleet.calls[-1].at_monotonic


async def all_hold_the_newest(fleet: Fleet, load: Load, calls: int) -> None:
    """Wait for one more call than `calls`, and until every replica holds its token."""
    await until(lambda: len(fleet.calls) > calls)
    await until(fleet.agree_on_the_newest)
    assert not load.bad


async def store_errors(fleet: Fleet) -> list[float]:
    """Return how many operations on the store failed, for each replica."""
    return [await replica.metric("store_errors_total") for replica in fleet.replicas]


async def all_failed_since(fleet: Fleet, errors: list[float]) -> bool:
    return all(now > before for now, before in zip(await store_errors(fleet), errors, strict=True))


@pytest.mark.timeout(300)
async def test_no_fault_costs_a_response_or_a_call(tmp_path: Path, own_redis_server: RedisServer) -> None:
    """Twelve rotations, each with another fault for all replicas: one call each, and none without a store."""
    async with fleet_behind_proxy(tmp_path, own_redis_server) as (fleet, proxy):
        fleet.settings["SIDECAR_STORE"] = f"redis://127.0.0.1:{proxy.port}"
        await fleet.ready(3, STORE_FAILURE="fail", **TIMES)
        async with under_load(fleet) as load:
            for begin in PASSABLE.values():
                errors = await store_errors(fleet)
                await before_the_refresh(fleet)
                begin(proxy)
                await all_hold_the_newest(fleet, load, len(fleet.calls))
                await proxy.heal()
                assert begin in (slow, sliced) or await store_errors(fleet) != errors, "the fault did nothing"
            for begin in CUTTING.values():
                await before_the_refresh(fleet)
                begin(proxy)
                errors = await store_errors(fleet)
                # A replica that was granted the lease just before still calls, and fails only at the commit.
                await until(lambda: all_failed_since(fleet, errors))  # noqa: B023 - called within this round only
                calls = len(fleet.calls)
                await until(lambda: age_s(fleet) > REFRESH_AT_S + AWAY_S)
                assert len(fleet.calls) == calls
                await proxy.heal()
                await all_hold_the_newest(fleet, load, calls)
            await before_the_refresh(fleet)
            calls = len(fleet.calls)
            async with flapping(proxy, SEED):
                await until(lambda: len(fleet.calls) > calls)
            await all_hold_the_newest(fleet, load, calls)

        assert min(await fleet.begun_gaps_s()) > DUE_AFTER_S, "one call a rotation"


async def test_one_replica_without_a_store_uses_its_share_and_rejoins(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """Two of three replicas go on. The third makes one call of its own, and then adopts the newest token again."""
    async with fleet_behind_proxy(tmp_path, own_redis_server) as (fleet, proxy):
        await fleet.ready(2, **TIMES)
        alone = (await fleet.ready(1, STORE=f"redis://127.0.0.1:{proxy.port}", **TIMES))[0]
        async with under_load(fleet) as load:

            async def own_calls() -> float:
                return await alone.metric("partner_requests_total")

            async def called_alone() -> bool:
                return await own_calls() > before

            before = await own_calls()
            black_hole(proxy)
            await until(called_alone)
            await proxy.heal()
            await until(fleet.agree_on_the_newest)
            async with flapping(proxy, SEED):
                calls = len(fleet.calls)
                await until(lambda: len(fleet.calls) > calls + 1)
            await until(fleet.agree_on_the_newest)

        assert not load.bad
        early = [gap_s for gap_s in await fleet.begun_gaps_s() if gap_s < DUE_AFTER_S]
        assert len(early) <= 2, "one call of its own, before or after that of the others"


async def test_apps_are_answered_while_an_operation_on_the_store_hangs(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """Many responses come before the operation fails: once for a poll, once for the claim of a due refresh."""
    async with fleet_behind_proxy(tmp_path, own_redis_server) as (fleet, proxy):
        store = f"redis://127.0.0.1:{proxy.port}"
        (replica,) = await fleet.ready(1, STORE=store, POLL_S="0.5", **HANGING)
        for script in (PEEK, CLAIM):
            await until(lambda: answers_meanwhile(replica, proxy, script))  # noqa: B023 - awaited in this round
            await proxy.heal()


async def answers_meanwhile(replica: Replica, proxy: FaultProxy, script: Script) -> bool:
    """Let the next operation of this kind hang until its time limit, and ask for the token meanwhile.

    Return whether the responses came before the operation failed. If responses waited for the store, they never
    would. On a busy machine they sometimes do not.
    """
    hanging = asyncio.Event()

    def watch(_connection: ProxiedConnection, chunk: bytes) -> None:
        if script.sha.encode() in chunk:
            deaf(proxy)
            hanging.set()

    proxy.watch = watch
    await asyncio.wait_for(hanging.wait(), HANG_S)
    errors = await replica.metric("store_errors_total")
    answers = [await replica.ask() for _ in range(20)]
    assert len({answer.token_id for answer in answers}) == 1
    return await replica.metric("store_errors_total") == errors
