"""The replica with the lease is killed or stopped during its partner call."""

from __future__ import annotations

import asyncio
import signal

from sidecar.stores.documents import Coordination
from sidecar.stores.redis.store import CLAIM
from tests.support.fault_proxy import Link, fault_proxy
from tests.support.processes import Fleet
from tests.support.replica import HANG_S, Replica, until
from tests.support.stored_gate import gate_in_redis

TIMES = {"PARTNER_TIMEOUT_S": "4", "STORE_TIMEOUT_S": "1", "REQUEST_TIMEOUT_S": "30", "POLL_S": "0.5"}
"""A call may take 4 s, so the holder has to be killed or stopped within that time."""
ROUNDING_S = 0.01


async def calling_holder(fleet: Fleet, **settings: str) -> Replica:
    """A replica whose first partner call gets no response while the test wants it so."""
    fleet.partner_clock.free.clear()
    holder = (await fleet.start(1, **{**TIMES, **settings}))[0]
    await until(lambda: len(fleet.calls) == 1)
    return holder


def stored_gate(fleet: Fleet) -> Coordination:
    gate = gate_in_redis(fleet.redis)
    assert gate is not None
    return gate


def is_leased(fleet: Fleet) -> bool:
    gate = gate_in_redis(fleet.redis)
    return gate is not None and gate.lease is not None


async def test_a_killed_holder_costs_one_more_call_and_no_more_than_the_lease(fleet: Fleet) -> None:
    holder = await calling_holder(fleet)
    # At once: on a slow machine its call would end before the others have started.
    lease = stored_gate(fleet).lease
    assert lease is not None, "the call was over before its process was killed"
    holder.kill()
    fleet.replicas.remove(holder)
    fleet.partner_clock.free.set()
    others = await fleet.start(2, **TIMES)
    asking = asyncio.gather(*(replica.ask() for replica in others))

    answers = await asyncio.wait_for(asking, HANG_S)

    assert len({answer.token_id for answer in answers}) == 1
    assert len(fleet.calls) == 2
    assert fleet.calls[1].at > lease.until_ms / 1000 - ROUNDING_S, "nobody may call before the lease is over"


async def test_a_holder_stopped_beyond_its_lease_changes_nothing_when_it_wakes(fleet: Fleet) -> None:
    holder = await calling_holder(fleet)
    holder.signal(signal.SIGSTOP)
    fleet.partner_clock.free.set()  # the response comes after its reader was killed
    others = await fleet.start(2, **TIMES)

    answers = [await asyncio.wait_for(replica.ask(), HANG_S) for replica in others]
    before = stored_gate(fleet)
    holder.signal(signal.SIGCONT)

    async def adopted() -> bool:
        return [(await replica.ask()).token_id for replica in fleet.replicas] == [answers[0].token_id] * 3

    await until(adopted)
    assert answers[0].token_id == answers[1].token_id
    assert len(fleet.calls) == 2
    after = stored_gate(fleet)
    assert (after.fence, after.pause, after.lease) == (before.fence, None, None)


async def test_a_late_commit_is_refused_by_the_fence(fleet: Fleet) -> None:
    """The lease is lost under a stopped holder, as in a failover that forgot it; its answer comes after all.

    (A stop that outlasts the lease outlasts the call's own time limit too, so no answer of it is ever taken.)
    """
    # A commit that the store does not answer in time is not refused, but repeated later.
    patient = {"PARTNER_TIMEOUT_S": "60", "STORE_TIMEOUT_S": "10"}
    holder = await calling_holder(fleet, **patient)
    holder.signal(signal.SIGSTOP)
    fleet.redis.command("FLUSHALL")
    other = fleet.launch(**{**TIMES, **patient})
    await other.listening()
    await until(lambda: len(fleet.calls) == 2)
    fleet.partner_clock.free.set()
    newer = (await other.ask()).token_id

    holder.signal(signal.SIGCONT)

    async def refused() -> bool:
        return await holder.metric("lease_lost_total", profile="default") == 1

    await until(refused)
    await until(lambda: bool(holder.events("lease_lost")))
    assert holder.events("lease_lost")[0]["stage"] == "commit"
    assert (await holder.ask()).token_id == (await other.ask()).token_id == newer
    assert len(fleet.calls) == 2


async def test_a_holder_stopped_between_grant_and_send_does_not_call(fleet: Fleet) -> None:
    """Its claim is granted while it is stopped; when it wakes, the lease has been somebody else's."""
    fleet.redis.command("SCRIPT", "LOAD", CLAIM.text)
    stopped: list[Replica] = []

    def stop_at_the_first_claim(_link: Link, chunk: bytes) -> None:
        if CLAIM.sha.encode() in chunk:
            proxy.watch = lambda *_: None
            stopped[0].signal(signal.SIGSTOP)

    async with fault_proxy(fleet.redis.port) as proxy:
        proxy.watch = stop_at_the_first_claim
        stopped += [fleet.launch(**TIMES, STORE_FAILURE="fail", STORE=f"redis://127.0.0.1:{proxy.port}")]
        await until(lambda: is_leased(fleet))
        other = (await fleet.start(1, **TIMES))[0]
        token_id = (await asyncio.wait_for(other.ask(), HANG_S)).token_id

        stopped[0].signal(signal.SIGCONT)

        await stopped[0].listening()
        await until(stopped[0].ready)
        assert (await stopped[0].ask()).token_id == token_id
    assert len(fleet.calls) == 1
    assert stored_gate(fleet).pause is None
