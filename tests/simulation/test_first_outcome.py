"""The first outcome of a profile, which readiness waits for: when it is known, and that it stays known."""

from __future__ import annotations

import asyncio

from sidecar.core.errors import FailureKind
from tests.support.key_fleet import KeyFleet, Sidecar
from tests.support.partner import FakePartner, failure
from tests.support.virtual_time import virtual


def known(sidecar: Sidecar) -> bool:
    return sidecar.provider.snapshot().has_outcome


async def always_known(sidecar: Sidecar, for_s: int) -> bool:
    """Check ten times a second, so that no call and no pause is missed."""
    seen = set[bool]()
    for _ in range(10 * for_s):
        seen.add(known(sidecar))
        await asyncio.sleep(0.1)
    return seen == {True}


def hanging_partner() -> FakePartner:
    partner = FakePartner(latency_s=10)

    async def give_up() -> None:
        raise failure(FailureKind.TIMEOUT)

    partner.always = give_up
    return partner


@virtual
async def test_a_partner_that_hangs_is_an_outcome_once_the_first_call_has_timed_out() -> None:
    fleet = KeyFleet(partner=hanging_partner())
    (sidecar,) = fleet.start(1)
    await asyncio.sleep(9.5)
    assert not known(sidecar)
    await asyncio.sleep(1)
    assert await always_known(sidecar, for_s=120)
    assert fleet.partner.count > 2, "and later calls change nothing"
    await fleet.stop()


@virtual
async def test_a_pause_caused_by_another_replica_is_an_outcome_and_stays_one_after_its_end() -> None:
    fleet = KeyFleet(partner=hanging_partner())
    fleet.start(1)
    await asyncio.sleep(10.5)
    (late,) = fleet.start(1)
    await asyncio.sleep(0.5)
    assert await always_known(late, for_s=60)
    await fleet.stop()


@virtual
async def test_rejected_credentials_are_an_outcome() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets=set()))
    (sidecar,) = fleet.start(1)
    assert not known(sidecar)
    await fleet.partner.called(1)
    await asyncio.sleep(1)
    assert await always_known(sidecar, for_s=900)
    await fleet.stop()


@virtual
async def test_a_token_taken_from_the_store_is_an_outcome() -> None:
    fleet = KeyFleet()
    await fleet.start(1)[0].token()
    (late,) = fleet.start(1)
    await asyncio.sleep(3)
    assert known(late), "without a refresh attempt of its own"
    await fleet.stop()
