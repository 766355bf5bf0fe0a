"""Many clients at a cold start cost one partner call."""

from __future__ import annotations

import asyncio

from tests.support.processes import Fleet
from tests.support.replica import until

CALLERS = 1200


async def test_1200_cold_callers_on_four_replicas_cost_one_partner_call(fleet: Fleet) -> None:
    """All of them wait, on every replica, before the partner answers the one call."""
    fleet.partner_clock.free.clear()
    long_limits = {"PARTNER_TIMEOUT_S": "60", "REQUEST_TIMEOUT_S": "60"}
    replicas = await fleet.start(4, **long_limits)

    asking = asyncio.gather(*(replicas[number % 4].ask() for number in range(CALLERS)))

    async def all_wait() -> bool:
        return bool(sum([(await replica.status())["waiters"] for replica in replicas]) == CALLERS)

    await until(all_wait)
    fleet.partner_clock.free.set()
    answers = await asking

    assert len({answer.token_id for answer in answers}) == 1
    assert not any("suspect" in answer.body for answer in answers)
    assert [(call.operation, call.status) for call in fleet.calls] == [("grant", 200)]
