"""An attacker keeps rewriting the gate so that each claim is granted: each process still keeps the budget."""

from __future__ import annotations

import asyncio

from sidecar.core.errors import FailureKind
from sidecar.core.model import Profile
from sidecar.stores.documents import StoredReport
from tests.support.fleet import Fleet
from tests.support.partner import failure
from tests.support.virtual_time import virtual

REWRITTEN_EVERY_S = 0.02
HOURS_S = 3600


async def forget(fleet: Fleet, *, rejecting: bool) -> None:
    """Remove all permits and failures from the gate, and mark its token as reported where `rejecting`."""
    cell = fleet.store._records[fleet.profile.profile_id]
    while True:
        if cell.gate is not None:
            gate = cell.gate
            gate.grants, gate.failure_counts, gate.credential_blocks = [], {}, {}
            gate.lease = gate.pause = gate.confirmed = None
            gate.reported = StoredReport(cell.token.token_id, gate.fence, 0) if rejecting and cell.token else None
        await asyncio.sleep(REWRITTEN_EVERY_S)


def most_calls(fleet: Fleet, profile: Profile) -> int:
    """Return the most calls in any window of the budget."""
    times = [at for at, _ in fleet.partner.calls]
    return max(sum(at <= other < at + 0.98 * profile.budget.window_s for other in times) for at in times)


@virtual
async def test_a_process_that_is_granted_everything_calls_within_the_budget() -> None:
    fleet = Fleet()
    fleet.start(1)
    await fleet.partner.called(1)
    attacker = asyncio.ensure_future(forget(fleet, rejecting=True))
    await asyncio.sleep(HOURS_S)
    attacker.cancel()
    assert fleet.partner.count > 2 * fleet.profile.budget.calls, "the attack has its effect"
    assert most_calls(fleet, fleet.profile) <= fleet.profile.budget.calls
    await fleet.stop()


@virtual
async def test_a_good_token_is_vended_again_after_the_attack() -> None:
    fleet = Fleet()
    replica = fleet.start(1)[0]
    await fleet.partner.called(1)
    attacker = asyncio.ensure_future(forget(fleet, rejecting=True))
    await asyncio.sleep(300)
    attacker.cancel()
    await asyncio.sleep(fleet.profile.budget.window_s + fleet.profile.lease_limit_s)
    vended = await replica.broker.vend(0)
    assert not vended.suspect
    assert vended.token.access.reveal() == fleet.partner.current
    await fleet.stop()


@virtual
async def test_removed_failures_cause_no_calls_beyond_the_budget() -> None:
    fleet = Fleet()
    fleet.partner.script.extend([failure(FailureKind.SERVER_ERROR)] * 10_000)
    fleet.start(3)
    await fleet.partner.called(1)
    attacker = asyncio.ensure_future(forget(fleet, rejecting=False))
    await asyncio.sleep(HOURS_S)
    attacker.cancel()
    assert most_calls(fleet, fleet.profile) <= 3 * fleet.profile.budget.calls
    await fleet.stop()
