"""Keys move and masters fail under load: every client gets a token, and there are few partner calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.clusters import ClusterTrio, slot_of
from tests.fleet.test_redis_sentinel import TIMES, agreed, calls_too_many
from tests.support.load import under_load
from tests.support.processes import Fleet, open_fleet
from tests.support.replica import until


@pytest.fixture
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterTrio]:
    with ClusterTrio(tmp_path_factory.mktemp("cluster")).started() as cluster:
        yield cluster


@pytest.fixture
async def fleet(tmp_path: Path, cluster: ClusterTrio) -> AsyncIterator[Fleet]:
    async with open_fleet(tmp_path, cluster.nodes[0]) as opened:
        opened.settings["SIDECAR_STORE"] = cluster.url
        yield opened


def slot(fleet: Fleet) -> int:
    return slot_of(fleet.profile_id)


async def test_a_moved_slot_and_the_loss_of_another_master_cost_nothing(fleet: Fleet, cluster: ClusterTrio) -> None:
    """One rotation while the slot is migrated, and one afterwards, when another master has failed."""
    await fleet.ready(3, **TIMES)
    source = cluster.owner(slot(fleet))
    target, other = (node for node in cluster.nodes if node is not source)
    async with under_load(fleet) as load:
        cluster.begin_move(slot(fleet), source, target)
        assert cluster.move_keys(slot(fleet), source, target) == 2
        await until(lambda: len(load.token_ids) >= 2)
        assert target.command_counts().get("asking", 0) > 0
        cluster.end_move(slot(fleet), target)
        other.stop()
        tokens = len(load.token_ids)
        await until(lambda: len(load.token_ids) > tokens)
        await until(lambda: agreed(fleet))

    assert not load.bad
    assert await calls_too_many(fleet) == 0


async def test_the_loss_of_the_keys_master_during_a_call_costs_no_response_and_at_most_one_call(
    fleet: Fleet, cluster: ClusterTrio
) -> None:
    master = cluster.owner(slot(fleet))
    replica = await asyncio.to_thread(cluster.cover, master)
    await fleet.ready(3, STORE_FAILURE="fail", **TIMES)
    async with under_load(fleet) as load:
        fleet.partner_clock.free.clear()
        await until(lambda: len(fleet.calls) == 2)
        await asyncio.to_thread(master.stop)
        await asyncio.to_thread(cluster.promoted, replica, slot(fleet))
        fleet.partner_clock.free.set()
        await until(lambda: len(load.token_ids) >= 2)
        await until(lambda: agreed(fleet))

    assert not load.bad
    assert await calls_too_many(fleet) <= 1
