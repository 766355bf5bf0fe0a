"""Redis fails under load: every client gets a token, and there are few partner calls."""

from __future__ import annotations

import asyncio

from tests.support.load import under_load
from tests.support.processes import Fleet
from tests.support.replica import until

LIFETIME_S, REFRESH_AT_S = 16, 5
TIMES = {
    "TOKEN_LIFETIME_S": str(LIFETIME_S),
    "REFRESH_AT": str(REFRESH_AT_S / LIFETIME_S),
    "PARTNER_TIMEOUT_S": "1",
    "STORE_TIMEOUT_S": "1",
    "POLL_S": "0.5",
}
"""A lease lasts 4 s, so the wait after a loss of data and the call after it end before the token does."""


async def test_a_redis_that_restarts_empty_costs_no_response_and_no_call(fleet: Fleet) -> None:
    """It restarts twice: in the middle of the lifetime of a token, and just before its refresh."""
    await fleet.ready(3, CALL_BUDGET="100/60", **TIMES)
    async with under_load(fleet) as load:
        await asyncio.to_thread(fleet.redis.restart)
        await until(lambda: len(load.token_ids) >= 2)
        await until(lambda: fleet.now - fleet.calls[-1].at_monotonic > REFRESH_AT_S - 0.2)
        await asyncio.to_thread(fleet.redis.restart)
        tokens = len(load.token_ids)
        await until(lambda: len(load.token_ids) > tokens)

    assert not load.bad
    assert min(await fleet.begun_gaps_s()) > REFRESH_AT_S / 2, "a call caused by the loss would follow it at once"


async def test_a_redis_outage_longer_than_a_token_lives_costs_no_response(fleet: Fleet) -> None:
    """Each replica uses its share of the budget; afterwards all hold the same token again."""
    replicas = await fleet.ready(3, CALL_BUDGET="6/60", FLEET_SIZE="3", **TIMES)
    async with under_load(fleet) as load:
        ends_at = fleet.calls[-1].at_monotonic + LIFETIME_S
        await asyncio.to_thread(fleet.redis.stop)
        await until(lambda: fleet.now > ends_at + 2 and len(fleet.calls) > len(replicas))
        assert len(fleet.calls) <= 1 + 2 * len(replicas)
        await asyncio.to_thread(fleet.redis.start)

        async def agreed() -> bool:
            states = [await replica.status() for replica in replicas]
            return all(state["storeUp"] for state in states) and len({state["tokenId"] for state in states}) == 1

        await until(agreed)

    assert not load.bad
