"""The replica with the lease is killed or stopped during its partner call."""

from __future__ import annotations

import asyncio
import signal

from sidecar.stores.documents import Coordination
from sidecar.stores.redis.store import CLAIM
from tests.support.fault_proxy import ProxiedConnection, fault_proxy
from tests.support.processes import Fleet
from tests.support.replica import HANG_S, Replica, until
from tests.support.stored_coordination import coordination_in_redis

TIMES = {"PARTNER_TIMEOUT_S": "4", "STORE_TIMEOUT_S": "1", "REQUEST_TIMEOUT_S": "30", "POLL_S": "0.5"}
"""A call may take 4 s, so the holder has to be killed or stopped within that time."""
ROUNDING_S = 0.01


async def calling_holder(fleet: Fleet, **settings: str) -> Replica:
    """Yield a replica whose first partner call gets no response until the test releases it."""
    fleet.partner_clock.free.clear()
    holder = (await fleet.start(1, **{**TIMES, **settings}))[0]
    await until(lambda: len(fleet.calls) == 1)
    return holder


def stored_coordination(fleet: Fleet) -> Coordination:
    coordination = coordination_in_redis(fleet.redis)
    assert coordination is not None
    return coordination


def is_leased(fleet: Fleet) -> bool:
    coordination = coordination_in_redis(fleet.redis)
    return coordination is not None and coordination.lease is not None


async def test_a_killed_holder_costs_one_more_call_and_at_most_the_lease_time(fleet: Fleet) -> None:
    holder = await calling_holder(fleet)
    # At once: on a slow machine its call would end before the others have started.
    lease = stored_coordination(fleet).lease
    assert lease is not None, "the call was over before its process was killed"
    holder.kill()
    fleet.replicas.remove(holder)
    fleet.partner_clock.free.set()
    others = await fleet.start(2, **TIMES)
    asking = asyncio.gather(*(replica.ask() for replica in others))

    answers = await asyncio.wait_for(asking, HANG_S)

    assert len({answer.token_id for answer in answers}) == 1
    assert len(fleet.calls) == 2
    assert fleet.calls[1].at > lease.until_ms / 1000 - ROUNDING_S, "no replica may call before the lease ends"


async def test_a_holder_stopped_beyond_its_lease_changes_nothing_when_it_continues(fleet: Fleet) -> None:
    holder = await calling_holder(fleet)
    holder.signal(signal.SIGSTOP)
    fleet.partner_clock.free.set()  # the response comes after its reader was killed
    others = await fleet.start(2, **TIMES)

    answers = [await asyncio.wait_for(replica.ask(), HANG_S) for replica in others]
    before = stored_coordination(fleet)
    holder.signal(signal.SIGCONT)

    async def adopted() -> bool:
        return [(await replica.ask()).token_id for replica in fleet.replicas] == [answers[0].token_id] * 3

    await until(adopted)
    assert answers[0].token_id == answers[1].token_id
    assert len(fleet.calls) == 2
    after = stored_coordination(fleet)
    assert (after.fence, after.pause, after.lease) == (before.fence, None, None)


async def test_a_late_commit_is_refused_by_the_fence(fleet: Fleet) -> None:
    """The store loses the lease while its holder is stopped, as in a failover; the holder's response comes afterwards.

    (A stop that is longer than the lease is longer than the call's time limit too, so its response is never used.)
    """
    # A commit that the store does not answer in time is not refused, but repeated later.
    long_limits = {"PARTNER_TIMEOUT_S": "60", "STORE_TIMEOUT_S": "10"}
    holder = await calling_holder(fleet, **long_limits)
    holder.signal(signal.SIGSTOP)
    fleet.redis.command("FLUSHALL")
    other = fleet.launch(**{**TIMES, **long_limits})
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
    """Its claim is granted while it is stopped. When it continues, another replica has had the lease."""
    fleet.redis.command("SCRIPT", "LOAD", CLAIM.text)
    stopped: list[Replica] = []

    def stop_at_the_first_claim(_connection: ProxiedConnection, chunk: bytes) -> None:
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
    assert stored_coordination(fleet).pause is None
