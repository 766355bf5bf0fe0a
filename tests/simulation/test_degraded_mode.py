"""The store is unreachable: what each replica may spend on its own, and what happens when the store is back."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.core.errors import FailureKind, NoTokenError
from sidecar.core.model import Budget, Profile
from sidecar.vending.local_budget import FIRST_DELAY_S
from tests.support.fleet import Fleet
from tests.support.partner import FakePartner, failure
from tests.support.virtual_time import virtual

BASE_URL = "https://partner.example"


@virtual
async def test_two_hundred_replicas_agree_on_one_token_without_a_call_once_the_store_is_back() -> None:
    """Each has a token of its own. The newest wins, and each replica sends only a few requests to the store."""
    fleet = Fleet(Profile(base_url=BASE_URL, fleet_size=200))
    replicas = fleet.start(200)
    fleet.cut()
    await asyncio.sleep(FIRST_DELAY_S + 5)
    assert len({await replica.token() for replica in replicas}) == 200
    assert fleet.partner.count == 200
    asked_before = sum(len(replica.wire.operations) for replica in replicas)
    fleet.cut(cut=False)
    await asyncio.sleep(2 * fleet.profile.poll_s)
    assert {await replica.token() for replica in replicas} == {fleet.partner.current}
    assert fleet.partner.count == 200
    asked = sum(len(replica.wire.operations) for replica in replicas) - asked_before
    assert asked <= 200 * 5
    await fleet.stop()


@virtual
async def test_a_share_below_one_call_a_window_is_one_call_in_a_longer_one() -> None:
    """6 in 60 s over 10 replicas: one call each in 100 s, which is the budget's rate and no more in any 100 s."""
    fleet = Fleet()
    fleet.partner.script.extend([failure(FailureKind.SERVER_ERROR)] * 1000)
    replicas = fleet.start(10)
    fleet.cut()
    await asyncio.sleep(1000)
    times = [at for at, _ in fleet.partner.calls]
    assert max(sum(at <= other < at + 99.9 for other in times) for at in times) <= 10
    assert len(times) > 50
    for replica in replicas:
        with pytest.raises(NoTokenError):
            await replica.token()
    await fleet.stop()


@virtual
async def test_the_first_calls_are_spread_and_a_store_that_is_back_soon_saves_all_but_one() -> None:
    fleet = Fleet()
    fleet.start(20)
    fleet.cut()
    await asyncio.sleep(0.5)
    fleet.cut(cut=False)
    await asyncio.sleep(10)
    assert fleet.partner.count == 1
    await fleet.stop()


@virtual
async def test_a_replica_without_the_store_waits_until_a_known_lease_has_ended() -> None:
    """Its holder may be calling right now, and leases prevent two calls at once."""
    fleet = Fleet(partner=FakePartner(latency_s=6))
    (holder,) = fleet.start(1)
    await fleet.partner.called(1)
    (other,) = fleet.start(1)
    await asyncio.sleep(1)
    fleet.cut()
    await holder.kill()
    with pytest.raises(NoTokenError):
        await other.token()
    await asyncio.sleep(30)
    first, second = (at for at, _ in fleet.partner.calls)
    assert second - first >= fleet.profile.lease_limit_s - 0.5
    await fleet.stop()


@virtual
async def test_a_replica_without_the_store_waits_until_a_spent_budget_has_room() -> None:
    fleet = Fleet(Profile(base_url=BASE_URL, budget=Budget(2, 600), fleet_size=2))
    fleet.partner.script.extend([failure(FailureKind.SERVER_ERROR)] * 2)
    replicas = fleet.start(2)
    await fleet.partner.called(2)
    await asyncio.sleep(40)
    fleet.cut()
    await asyncio.sleep(540)
    assert fleet.partner.count == 2
    await asyncio.sleep(60)
    assert {(await replica.token())[:5] for replica in replicas} == {"token"}
    assert fleet.partner.count <= 4
    await fleet.stop()
