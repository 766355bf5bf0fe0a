"""Which of two facts is the later one: a fact recorded during a call outlives it. Each test stands for a past bug."""

from __future__ import annotations

import asyncio
import copy

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.model import Budget, Lifetime, Profile, Secret, Token, token_id_of
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import ClaimRequest, Granted, LearnedLifetime, Pause, Rejection, ReplicaMemory, State
from sidecar.stores.documents import sanitize
from tests.support.fleet import Fleet, Replica, credentials
from tests.support.partner import FakePartner, failure
from tests.support.virtual_time import virtual

ALONE = Profile(base_url="https://partner.example", fleet_size=1)
"""With one replica, its own share is the whole budget."""
COOL_DOWN_S = 300
UNKNOWN_ID = "0" * 32
"""The id of a token that no replica holds: a report of it makes the replica read the store."""


def store_of(fleet: Fleet) -> SharedState:
    """Return the store, as another replica uses it."""
    return fleet.store.shared_state(fleet.profile)


async def record_a_429(fleet: Fleet) -> None:
    """As another replica that was cut off, store the 429 of a local call."""
    pause = Pause(kind=FailureKind.THROTTLED, left_s=COOL_DOWN_S, consecutive_failures=1)
    await store_of(fleet).seed(ReplicaMemory(state=State(pause=pause), token=None, token_age_s=0))


async def commit_another(fleet: Fleet) -> Token:
    """As another replica, fetch a token under a lease."""
    shared, used, access = store_of(fleet), credentials(), Secret("token-of-another")
    known = (await shared.peek(0)).token_fence
    ask = ClaimRequest(
        nonce="b/1", known=known, fence=0, epoch="", caller_requested=False, credentials_id=used.credentials_id
    )
    claimed = await shared.claim(ask)
    assert isinstance(claimed.outcome, Granted)
    token = Token(
        access=access, refresh=None, token_id=token_id_of(access), role="API_USER", fence=claimed.outcome.fence,
        issued_at=claimed.state.now, lifetime_s=900, lifetime=Lifetime.ASSUMED, credentials_id=used.credentials_id,
    )  # fmt: skip
    await shared.commit("b/1", token, 0, LearnedLifetime())
    return token


def set_store_clock_back(fleet: Fleet) -> None:
    """Set it back by an hour and move future instants to the present, as the scripts do."""
    fleet.clock.set_forward_s -= 3600
    gate = fleet.store._records[fleet.profile.profile_id].gate
    assert gate is not None
    sanitize(gate, fleet.store._now_ms())


async def no_call_before_the_end(fleet: Fleet) -> None:
    """Check that the next call comes only after the end of the cool-down."""
    before = fleet.partner.count
    await asyncio.sleep(COOL_DOWN_S - 20)
    assert fleet.partner.count == before
    await asyncio.sleep(40)
    assert fleet.partner.count > before


# -- a cool-down that began during a call -----------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [False, True])
@virtual
async def test_a_grant_that_is_repeated_during_a_cool_down_is_not_used(looks: bool) -> None:
    """The claim's reply is lost. It is granted again by its nonce, or a report's read returns the 429 before that."""
    fleet = Fleet()
    (replica,) = fleet.start(1)
    replica.wire.lose_answers_of = {"claim"}
    await asyncio.sleep(0.55)
    assert "claim" in replica.wire.operations
    await record_a_429(fleet)
    replica.wire.lose_answers_of = set()
    if looks:
        await replica.broker.report(UNKNOWN_ID)
    await no_call_before_the_end(fleet)
    await fleet.stop()


async def read_a_429_during_a_local_call(fleet: Fleet) -> Replica:
    """Read the 429 from the store, which is then unreachable again."""
    (replica,) = fleet.start(1)
    replica.wire.cut = True
    await fleet.partner.called(1)
    replica.wire.cut = False
    await record_a_429(fleet)
    await replica.broker.report(UNKNOWN_ID)
    replica.wire.cut = True
    return replica


@virtual
async def test_a_cool_down_read_during_a_local_call_outlives_its_token() -> None:
    fleet = Fleet(profile=ALONE, partner=FakePartner(latency_s=2))
    replica = await read_a_429_during_a_local_call(fleet)
    await asyncio.sleep(3)
    vended = await replica.broker.vend()
    assert (await replica.broker.report(vended.token.token_id)).verdict == "later"
    await no_call_before_the_end(fleet)
    await fleet.stop()


@virtual
async def test_a_cool_down_read_during_a_local_call_outlives_its_failure() -> None:
    fleet = Fleet(profile=ALONE, partner=FakePartner(latency_s=2))
    fleet.partner.script.append(failure(FailureKind.SERVER_ERROR))
    await read_a_429_during_a_local_call(fleet)
    await no_call_before_the_end(fleet)
    await fleet.stop()


@virtual
async def test_a_cool_down_is_kept_though_the_store_could_not_be_seeded() -> None:
    """Its reply asks for the token first. Sending it fails, and then the store is unreachable."""
    fleet = Fleet(profile=ALONE)
    (replica,) = fleet.start(1)
    replica.wire.cut = True
    vended = await replica.broker.vend()
    await record_a_429(fleet)
    replica.wire.lose_answers_of = {"seed"}
    replica.wire.cut = False
    await replica.broker.report(UNKNOWN_ID)
    assert "seed" in replica.wire.operations
    replica.wire.cut = True
    await replica.broker.report(vended.token.token_id)
    await no_call_before_the_end(fleet)
    await fleet.stop()


@virtual
async def test_a_cool_down_recorded_after_a_grant_stays_when_fences_are_ahead_of_the_clock() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    vended = await replica.broker.vend()
    set_store_clock_back(fleet)
    await asyncio.sleep(20)
    fleet.partner.latency_s = 2
    await replica.broker.report(vended.token.token_id)
    await fleet.partner.called(2)
    await record_a_429(fleet)
    await asyncio.sleep(5)
    vended = await replica.broker.vend()
    assert vended.token.access.reveal() == "token-2"
    await replica.broker.report(vended.token.token_id)
    await no_call_before_the_end(fleet)
    await fleet.stop()


# -- tokens and reports -----------------------------------------------------------------------------------------------


@virtual
async def test_a_report_during_a_call_is_not_answered_by_the_token_of_that_call() -> None:
    """The partner answers a refresh with the valid token, and revokes it before the commit.

    The replica that took the report has ended, so it cannot seed the store.
    """
    fleet = Fleet(partner=FakePartner(can_refresh=True, same_token=True))
    (replica,) = fleet.start(1)
    token = (await replica.broker.vend()).token
    await fleet.partner.called(2)
    await asyncio.sleep(fleet.partner.latency_s / 2)
    replica.wire.delay_s = 0.4
    await asyncio.sleep(fleet.partner.latency_s)
    fleet.partner.same_token = False
    assert (await store_of(fleet).reject(token.token_id, 700)).current
    replica.wire.delay_s = 0
    await asyncio.sleep(5)
    assert await replica.token() == "token-2"
    await fleet.stop()


@virtual
async def test_an_own_call_confirms_no_token_that_was_adopted_meanwhile() -> None:
    """The lease is lost in a fail-over, another token is stored and reported, and the commit is lost."""
    fleet = Fleet(partner=FakePartner(latency_s=3))
    (replica,) = fleet.start(1)
    await replica.token()
    before = copy.deepcopy(fleet.store._records)
    await replica.broker.report((await replica.broker.vend()).token.token_id)
    await fleet.partner.called(2)
    fleet.store._records = before
    await asyncio.sleep(1)
    another = await commit_another(fleet)
    await store_of(fleet).reject(another.token_id, 0)
    await replica.broker.report(UNKNOWN_ID)
    assert replica.parts.replica.token_id == another.token_id
    replica.wire.cut = True
    await asyncio.sleep(5)
    assert "commit" in replica.wire.operations
    assert replica.parts.replica.token_id == another.token_id
    assert replica.broker.current() is None
    await fleet.stop()


@virtual
async def test_a_slow_local_call_replaces_no_newer_token() -> None:
    fleet = Fleet(partner=FakePartner(latency_s=3))
    (replica,) = fleet.start(1)
    replica.wire.cut = True
    await fleet.partner.called(1)
    replica.wire.cut = False
    another = await commit_another(fleet)
    await replica.broker.report(UNKNOWN_ID)
    assert await replica.token() == another.access.reveal()
    replica.wire.cut = True
    await asyncio.sleep(5)
    assert await replica.token() == another.access.reveal()
    replica.wire.cut = False
    await asyncio.sleep(2 * fleet.profile.poll_s)
    assert await replica.token() == another.access.reveal()
    assert (await store_of(fleet).peek(0)).token_id == another.token_id
    await fleet.stop()


@virtual
async def test_a_local_calls_token_ends_no_lease_when_fences_are_ahead_of_the_clock() -> None:
    """The store's clock was set back, so both sides count on from their last known fence."""
    fleet = Fleet(profile=Profile(base_url="https://partner.example", fleet_size=1, budget=Budget(12, 60)))
    own, other = fleet.start(2)
    first = (await own.broker.vend()).token
    await other.token()
    set_store_clock_back(fleet)
    await asyncio.sleep(10)
    own.wire.cut = True
    for number in (2, 3):
        await own.broker.report((await own.broker.vend()).token.token_id)
        await fleet.partner.called(number)
        await asyncio.sleep(1)
    fleet.partner.latency_s = 4
    await other.broker.report(first.token_id)
    await fleet.partner.called(4)
    own.wire.cut = False
    await own.broker.report(UNKNOWN_ID)
    assert "seed" in own.wire.operations
    gate = fleet.store._records[fleet.profile.profile_id].gate
    assert gate is not None
    assert gate.lease is not None
    await fleet.stop()


@virtual
async def test_a_report_that_was_not_decided_in_time_counts() -> None:
    """The store takes longer than a caller waits: after the verdict `later` the token is no longer vended as good."""
    fleet = Fleet(profile=ALONE)
    (replica,) = fleet.start(1)
    token = (await replica.broker.vend()).token
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=COOL_DOWN_S))
    replica.wire.delay_s = 2 * ALONE.request_timeout_s
    assert (await replica.broker.report(token.token_id)).verdict == "later"
    assert replica.broker.current() is None
    replica.wire.delay_s = 0
    await asyncio.sleep(3 * ALONE.request_timeout_s)
    vended = await replica.broker.vend()
    assert (vended.token.token_id, vended.suspect) == (token.token_id, True)
    await fleet.stop()


@virtual
async def test_a_report_counts_though_its_reply_requests_seeding_and_its_master_is_lost() -> None:
    """The store's clock was set, so the token is sent first. By then another master replies."""
    fleet = Fleet(profile=ALONE)
    (replica,) = fleet.start(1)
    token = (await replica.broker.vend()).token
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=COOL_DOWN_S))
    set_store_clock_back(fleet)
    before, reject = copy.deepcopy(fleet.store._records), replica.wire.reject

    async def reject_at_the_lost_master(token_id: str, age_s: float) -> Rejection:
        answer = await reject(token_id, age_s)
        fleet.store._records = before
        return answer

    replica.wire.reject = reject_at_the_lost_master  # type: ignore[method-assign]
    assert (await replica.broker.report(token.token_id)).verdict == "refreshing"
    assert replica.wire.operations[-2:] == ["reject", "seed"]
    assert replica.broker.current() is None
    reported = (await store_of(fleet).peek(0)).reported
    assert reported is not None
    assert reported.token_id == token.token_id
    await fleet.stop()


@virtual
async def test_a_report_where_no_token_is_held_is_not_answered_by_another_token() -> None:
    fleet = Fleet(profile=ALONE)
    fleet.partner.script.append(failure(FailureKind.SERVER_ERROR))
    fleet.partner.latency_s = 2
    (replica,) = fleet.start(1)
    await fleet.partner.called(1)
    assert (await replica.broker.report(UNKNOWN_ID)).verdict == "refreshing"
    await replica.token()
    assert (await replica.broker.report(UNKNOWN_ID)).verdict == "already-replaced"
    await fleet.stop()


# -- permits ----------------------------------------------------------------------------------------------------------


@virtual
async def test_late_seeding_of_old_permits_removes_no_newer_ones() -> None:
    """Three permits that are about to leave the window arrive late, after two newer ones whose replica has ended."""
    fleet = Fleet(profile=Profile(base_url="https://partner.example", budget=Budget(3, 60)))
    fleet.partner.script.extend([failure(FailureKind.SERVER_ERROR)] * 100)
    (first,) = fleet.start(1)
    await fleet.partner.called(3)
    await asyncio.sleep(50)
    late = first.parts.replica.remembered()
    await fleet.partner.called(5)
    await asyncio.sleep(1)
    await first.kill()
    await store_of(fleet).seed(late)
    fleet.start(1)
    await asyncio.sleep(50)
    times = [at for at, _ in fleet.partner.calls]
    assert max(sum(at <= other < at + 59 for other in times) for at in times) == 3
    await fleet.stop()
