"""Replicas are started and stopped."""

from __future__ import annotations

import asyncio
import signal

import pytest

from tests.support.load import under_load
from tests.support.processes import Fleet
from tests.support.replica import Answer, Replica, until


@pytest.mark.parametrize("rolls", [3, pytest.param(9, marks=[pytest.mark.slow, pytest.mark.timeout(300)])])
async def test_rolling_restarts_under_load_cost_no_call_and_no_response(fleet: Fleet, rolls: int) -> None:
    """Each of two replicas is replaced `rolls` times. Apps do not call a replica that stops."""
    first = await fleet.ready(2, DRAIN_S="60")

    async def replace(replica: Replica) -> Replica:
        async def drained() -> bool:
            return not (load.asking[replica] or await replica.ready())

        fleet.replicas.remove(replica)
        replica.signal(signal.SIGTERM)
        await until(drained)
        await fleet.stop(replica)  # the second signal ends the drain
        return (await fleet.ready(1, DRAIN_S="60"))[0]

    async with under_load(fleet) as load:
        fleet_now = list(first)
        for _ in range(rolls):
            fleet_now = [await replace(replica) for replica in fleet_now]

    assert not load.bad
    assert len(load.token_ids) == 1
    assert len(fleet.calls) == 1
    assert len(fleet.started) == 2 + 2 * rolls


async def test_a_draining_replica_is_unready_at_once_and_vends_until_it_ends(fleet: Fleet) -> None:
    replica = (await fleet.ready(1, DRAIN_S="60"))[0]
    replica.signal(signal.SIGTERM)

    async def unready() -> bool:
        return not await replica.ready()

    await until(unready)
    document = (await replica.admin("/readyz")).body
    assert document["draining"] is True
    assert (await replica.ask()).token_id
    assert (await replica.admin("/livez")).status == 200
    replica.signal(signal.SIGTERM)  # the second one ends the drain
    assert await replica.ended() == 0


async def test_a_stop_during_a_call_answers_waiting_clients_and_ends_the_lease(fleet: Fleet) -> None:
    """Another replica need not wait until the lease of two minutes ends."""
    fleet.partner_clock.free.clear()
    long_limits = {"PARTNER_TIMEOUT_S": "120", "REQUEST_TIMEOUT_S": "120"}
    holder = (await fleet.start(1, **long_limits))[0]
    waiting = [asyncio.create_task(holder.ask()) for _ in range(20)]

    async def all_wait() -> bool:
        return len(fleet.calls) == 1 and (await holder.status())["waiters"] == 20

    await until(all_wait)
    other = (await fleet.start(1, **long_limits))[0]
    await fleet.stop(holder)
    answers = await asyncio.gather(*waiting, return_exceptions=True)
    fleet.partner_clock.free.set()

    async def has_token() -> bool:
        return (await other.ask()).status == 200

    await until(has_token)
    assert len(fleet.calls) == 2
    cut_off = [answer for answer in answers if isinstance(answer, BaseException)]
    assert not cut_off, f"{len(cut_off)} callers were cut off: {cut_off[0]}"
    assert {answer.status for answer in answers if isinstance(answer, Answer)} == {503}
