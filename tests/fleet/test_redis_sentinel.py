"""The master fails during a partner call, under load: every client gets a token, and there are few partner calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.sentinels import SentinelTrio
from tests.servers import RedisServer
from tests.support.load import under_load
from tests.support.processes import Fleet, open_fleet
from tests.support.replica import until
from tests.support.stored_coordination import coordination_in_redis

LIFETIME_S, REFRESH_AT_S = 30, 3
TIMES = {
    "TOKEN_LIFETIME_S": str(LIFETIME_S),
    "REFRESH_AT": "0.1",
    "PARTNER_TIMEOUT_S": "10",
    "STORE_TIMEOUT_S": "0.5",
    "POLL_S": "0.5",
    "CALL_BUDGET": "100/60",
}


@pytest.fixture
def trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelTrio]:
    with SentinelTrio(tmp_path_factory.mktemp("trio")).started() as trio:
        yield trio


@pytest.fixture
async def fleet(tmp_path: Path, trio: SentinelTrio) -> AsyncIterator[Fleet]:
    async with open_fleet(tmp_path, trio.servers[0]) as opened:
        opened.settings["SIDECAR_STORE"] = trio.url
        yield opened


async def agreed(fleet: Fleet) -> bool:
    """Return whether all replicas reach the store, and hold the same token."""
    states = [await replica.status() for replica in fleet.replicas]
    return all(state["storeUp"] for state in states) and len({state["tokenId"] for state in states}) == 1


async def calls_too_many(fleet: Fleet) -> int:
    """Return how many calls were made before the token of the previous call was due."""
    return sum(gap_s < REFRESH_AT_S / 2 for gap_s in await fleet.begun_gaps_s())


async def test_a_master_killed_during_a_call_costs_no_response_and_at_most_one_call(
    fleet: Fleet, trio: SentinelTrio
) -> None:
    # Without a store a replica may call at a random time late in the life of a token, which would change the count.
    await fleet.ready(3, STORE_FAILURE="fail", **TIMES)
    async with under_load(fleet) as load:
        fleet.partner_clock.free.clear()
        await until(lambda: len(fleet.calls) == 2)
        old = trio.master
        await asyncio.to_thread(old.stop)
        await asyncio.to_thread(trio.failed_over, old)
        fleet.partner_clock.free.set()
        await until(lambda: len(load.token_ids) >= 2)
        await until(lambda: agreed(fleet))
        # What follows is as without a failover.
        after = len(fleet.calls)
        await until(lambda: len(fleet.calls) == after + 1)
        await until(lambda: agreed(fleet))

    assert not load.bad
    assert await calls_too_many(fleet) <= 1


async def test_a_planned_failover_during_a_call_costs_no_response_and_at_most_one_call(
    fleet: Fleet, trio: SentinelTrio
) -> None:
    """The old master still serves until the sentinels demote it, seconds later. What it stored then is lost."""
    await fleet.ready(3, **TIMES)
    async with under_load(fleet) as load:
        fleet.partner_clock.free.clear()
        await until(lambda: len(fleet.calls) == 2)
        old = trio.master
        await asyncio.to_thread(trio.fail_over)
        fleet.partner_clock.free.set()
        await until(lambda: old.command("INFO", "replication")["role"] == "slave")
        fence_then = fence(trio.master)
        await until(lambda: fence(trio.master) > fence_then)
        await until(lambda: agreed(fleet))

    assert not load.bad
    assert await calls_too_many(fleet) <= 1


def fence(server: RedisServer) -> int:
    """The newest fence that this server granted or stored."""
    coordination = coordination_in_redis(server)
    return 0 if coordination is None else coordination.fence
