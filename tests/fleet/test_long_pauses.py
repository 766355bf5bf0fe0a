"""Processes that are stopped for longer than the lifetime of a token: Redis, or all sidecars at once."""

from __future__ import annotations

import asyncio
import signal
from dataclasses import replace
from pathlib import Path

from tests.servers import RedisServer
from tests.support.load import under_load
from tests.support.processes import CONFIG, open_fleet
from tests.support.replica import HANG_S, until

LIFETIME_S, REFRESH_AT_S = 12, 2.4
TIMES = {
    "TOKEN_LIFETIME_S": str(LIFETIME_S),
    "REFRESH_AT": str(REFRESH_AT_S / LIFETIME_S),
    "PARTNER_TIMEOUT_S": "3",
    "STORE_TIMEOUT_S": "0.3",
    "POLL_S": "0.5",
    "FLEET_SIZE": "3",
    "CALL_BUDGET": "30/30",
}
PARTNER = replace(CONFIG, token_lifetime_s=LIFETIME_S)


async def test_a_redis_stopped_for_longer_than_a_token_lives_costs_no_response(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """When it continues, Redis runs the claims that it received meanwhile. Their senders timed out long ago."""
    async with open_fleet(tmp_path, own_redis_server, PARTNER) as fleet:
        replicas = await fleet.ready(3, **TIMES)
        async with under_load(fleet) as load:
            before, end_at = len(fleet.calls), fleet.ends_at[fleet.issued[-1]]
            paused_at = fleet.now
            own_redis_server.pause()
            await until(lambda: fleet.now > end_at + 0.5 and len(fleet.calls) >= before + len(replicas))
            meanwhile, lives = len(fleet.calls) - before, 1 + (fleet.now - paused_at) // LIFETIME_S
            own_redis_server.resume()

            async def agreed() -> bool:
                up = all([(await replica.status())["storeUp"] for replica in replicas])
                return up and await fleet.agree()

            await until(agreed)

    assert not load.bad
    assert meanwhile <= (1 + lives) * len(replicas), "one call for each lifetime and replica"


async def test_a_fleet_stopped_for_longer_than_a_token_lives_vends_only_the_next(
    tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """Requests wait in the sockets. The declared end has passed, so not even a suspect token may be vended."""
    async with open_fleet(tmp_path, own_redis_server, replace(PARTNER, declares_lifetime=True)) as fleet:
        replicas = await fleet.ready(3, **TIMES)
        await until(fleet.agree)
        for replica in replicas:
            replica.signal(signal.SIGSTOP)
        before = len(fleet.calls)
        asking = [asyncio.create_task(replica.ask()) for replica in replicas * 20]
        await until(lambda: fleet.now > fleet.ends_at[fleet.issued[-1]] + 0.5)
        for replica in replicas:
            replica.signal(signal.SIGCONT)
        answers = await asyncio.wait_for(asyncio.gather(*asking), HANG_S)
        gaps_s = await fleet.begun_gaps_s()

    assert {answer.token_id for answer in answers} <= set(fleet.issued[before:])
    assert not any("suspect" in answer.body for answer in answers)
    assert min(gaps_s[before - 1 :]) > REFRESH_AT_S / 2, "one call for all replicas"
