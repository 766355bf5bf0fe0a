"""A claim is granted and the reply is lost, while a good token is held."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sidecar.core.model import StoreFailure
from tests.simulation.test_concurrent_faults import SHORT, now
from tests.support.fleet import Fleet
from tests.support.virtual_time import virtual


@virtual
async def test_a_later_refresh_attempt_takes_up_the_unused_lease() -> None:
    """Otherwise all replicas would wait for its limit."""
    fleet = Fleet(profile=replace(SHORT, store_failure=StoreFailure.FAIL))
    (replica,) = fleet.start(1)
    await replica.token()
    replica.wire.lose_answers_of = {"claim"}
    while replica.wire.operations.count("claim") < 2:  # noqa: ASYNC110 - on virtual time
        await asyncio.sleep(0.1)
    claimed_at = now()
    await asyncio.sleep(0.5)
    replica.wire.lose_answers_of = set()
    await fleet.partner.called(2)
    assert now() < claimed_at + SHORT.poll_s + 1 < claimed_at + SHORT.lease_limit_s
    await fleet.stop()
