"""One replica lacks the seal key of the token that another has stored."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from sidecar.core.model import Operation, Profile
from tests.support.fleet import Fleet, Replica
from tests.support.partner import FakePartner
from tests.support.virtual_time import virtual

PROFILE = Profile(base_url="https://partner.example")


async def fleet_with_a_replica_that_lacks_the_key() -> tuple[Fleet, Replica]:
    """Return a fleet whose replica holds the old token. The replica that refreshed it has ended."""
    fleet = Fleet(profile=PROFILE, partner=FakePartner(can_refresh=True))
    (lacking,) = fleet.start(1)
    await lacking.broker.vend()
    fleet.profile = replace(PROFILE, refresh_at=0.1)
    (other,) = fleet.start(1)
    await other.broker.vend()
    lacking.wire.cannot_open = True
    await fleet.partner.called(2)
    await asyncio.sleep(PROFILE.poll_s * 3)
    await other.kill()
    assert [operation for _, operation in fleet.partner.calls] == [Operation.GRANT, Operation.REFRESH]
    assert await lacking.token() == "token-1"
    return fleet, lacking


@virtual
async def test_a_report_of_the_held_token_replaces_it() -> None:
    fleet, lacking = await fleet_with_a_replica_that_lacks_the_key()
    held = (await lacking.broker.vend()).token
    assert (await lacking.broker.report(held.token_id)).verdict == "refreshing"
    assert (await lacking.broker.report(held.token_id)).verdict == "refreshing"
    assert await lacking.token() == "token-3"
    assert (await lacking.broker.report(held.token_id)).verdict == "already-replaced"
    assert fleet.partner.count == 3
    await fleet.stop()


@virtual
async def test_a_refresh_token_that_may_be_spent_is_never_sent() -> None:
    fleet, _ = await fleet_with_a_replica_that_lacks_the_key()
    await fleet.partner.called(3)
    assert fleet.partner.calls[-1][1] is Operation.GRANT
    await fleet.stop()


@virtual
async def test_a_missing_seal_key_is_reported_until_the_stored_token_can_be_opened() -> None:
    fleet, lacking = await fleet_with_a_replica_that_lacks_the_key()
    assert lacking.broker.snapshot().stored_token_unreadable
    lacking.wire.cannot_open = False
    await asyncio.sleep(PROFILE.poll_s * 2)
    assert not lacking.broker.snapshot().stored_token_unreadable
    assert await lacking.token() == "token-2"
    assert fleet.partner.count == 2
    await fleet.stop()
