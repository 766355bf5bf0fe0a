"""Faults of every kind in a seeded mix. `make soak` runs it for longer, with one seed after the other."""

from __future__ import annotations

import itertools
import logging
import os
import time
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path

from sidecar.core.model import Budget
from tests.servers import RedisServer
from tests.support.chaos import Chaos
from tests.support.fault_proxy import fault_proxy
from tests.support.load import under_load
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.replica import until

REPLICAS = 3
LIFETIME_S, REFRESH_AT_S = 10, 2.0
BUDGET = Budget(12, 12)
TIMES = {
    "TOKEN_LIFETIME_S": str(LIFETIME_S),
    "REFRESH_AT": "0.2",
    "PARTNER_TIMEOUT_S": "1",
    "STORE_TIMEOUT_S": "0.3",
    "POLL_S": "0.5",
    "REQUEST_TIMEOUT_S": "2",
    "FLEET_SIZE": str(REPLICAS),
    "CALL_BUDGET": f"{BUDGET.calls}/{BUDGET.window_s}",
}
logger = logging.getLogger(__name__)
ROUND_S = 20
SOAK_S = float(os.environ.get("SOAK_S", "0"))
SEED = int(os.environ.get("SOAK_SEED", "1"))


async def test_no_mix_of_faults_breaks_the_promise(tmp_path: Path, own_redis_server: RedisServer) -> None:
    began = time.monotonic()
    for seed in itertools.count(SEED):
        (tmp_path / str(seed)).mkdir()
        logger.info(await one_round(tmp_path / str(seed), own_redis_server, seed))
        if time.monotonic() - began >= SOAK_S:
            break


async def one_round(folder: Path, redis: RedisServer, seed: int) -> str:
    """Run chaos for a while, wait until all hold a fresh token, and return a summary in one line."""
    config = replace(
        CONFIG, token_lifetime_s=LIFETIME_S, declares_lifetime=bool(seed & 1), revoke_previous=bool(seed & 2)
    )
    async with AsyncExitStack() as stack:
        ways = [await stack.enter_async_context(fault_proxy(redis.port, seed)) for _ in range(REPLICAS)]
        fleet = await stack.enter_async_context(open_fleet(folder, redis, config))
        partner_way = await stack.enter_async_context(fault_proxy(int(fleet.partner_url.rpartition(":")[2]), seed))
        settings = {**TIMES, "BASE_URL": f"http://127.0.0.1:{partner_way.port}"}
        for way in ways:
            await fleet.ready(1, STORE=f"redis://127.0.0.1:{way.port}", **settings)
        async with under_load(fleet) as load:
            chaos = Chaos(fleet, load, ways, partner_way, settings)
            try:
                await chaos.run(seed, ROUND_S)
                took_s = await until(lambda: has_recovered(fleet))
                assert not load.wrong, load.wrong[:9]
                assert most_calls(fleet) <= allowed(chaos.kills)
            except BaseException as error:
                error.add_note("\n".join([f"seed {seed}", *chaos.history]))
                raise
        return (
            f"seed {seed}: {len(chaos.history)} faults, {len(fleet.calls)} calls, at most {most_calls(fleet)} a "
            f"window, {load.good} good answers, {dict(load.bad)}, recovered after {took_s:.1f} s"
        )


async def has_recovered(fleet: Fleet) -> bool:
    """Return whether all hold the newest token, and none has it as suspect."""
    fresh = [(await replica.status())["condition"] in ("fresh", "stale") for replica in fleet.replicas]
    return all(fresh) and await fleet.agree_on_the_newest()


def most_calls(fleet: Fleet) -> int:
    """Return the most calls that the partner received in any window of the budget."""
    at = [call.at_monotonic for call in fleet.calls]
    return max(sum(first <= other < first + BUDGET.window_s for other in at) for first in at)


def allowed(kills: int) -> int:
    """The budget, plus a share for each replica without a store, and one for each that lost its own count."""
    return BUDGET.calls + (REPLICAS + kills) * BUDGET.share_of(REPLICAS).calls
