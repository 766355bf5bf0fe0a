"""Which of two facts is the later one: what was recorded during a call outlives it. Each of these was a bug."""

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
"""The whole budget is the one replica's own share."""
COOL_DOWN_S = 300
UNKNOWN_ID = "0" * 32
"""Of a token that no replica knows: a report of it is a look at the store."""


def store_of(fleet: Fleet) -> SharedState:
    """The store, as another replica uses it."""
    return fleet.store.shared_state(fleet.profile)


async def tell_of_a_429(fleet: Fleet) -> None:
    """Another replica, which was cut off, was answered 429 on its own share, and tells the store."""
    pause = Pause(kind=FailureKind.THROTTLED, left_s=COOL_DOWN_S, consecutive_failures=1)
    await store_of(fleet).seed(ReplicaMemory(state=State(pause=pause), token=None, token_age_s=0))


async def commit_another(fleet: Fleet) -> Token:
    """Another replica fetches a token under a lease."""
    shared, pair, access = store_of(fleet), credentials(), Secret("token-of-another")
    known = (await shared.peek(0)).token_fence
    ask = ClaimRequest(
        nonce="b/1", known=known, fence=0, epoch="", caller_requested=False, credentials_id=pair.credentials_id
    )
    claimed = await shared.claim(ask)
    assert isinstance(claimed.outcome, Granted)
    token = Token(
        access=access, refresh=None, token_id=token_id_of(access), role="API_USER", fence=claimed.outcome.fence,
        issued_at=claimed.state.now, lifetime_s=900, lifetime=Lifetime.ASSUMED, credentials_id=pair.credentials_id,
    )  # fmt: skip
    await shared.commit("b/1", token, 0, LearnedLifetime())
    return token


def set_store_clock_back(fleet: Fleet) -> None:
    """By an hour; what lies in its future is brought back, as by the scripts."""
    fleet.clock.set_forward_s -= 3600
    gate = fleet.store._records[fleet.profile.profile_id].gate
    assert gate is not None
    sanitize(gate, fleet.store._now_ms())


async def nobody_calls_before_the_end(fleet: Fleet) -> None:
    """Of the cool-down, and then somebody does."""
    before = fleet.partner.count
    await asyncio.sleep(COOL_DOWN_S - 20)
    assert fleet.partner.count == before
    await asyncio.sleep(40)
    assert fleet.partner.count > before


# -- a cool-down that began meanwhile ---------------------------------------------------------------------------------


@pytest.mark.parametrize("looks", [False, True])
@virtual
async def test_a_grant_that_is_repeated_in_a_cool_down_is_not_used(looks: bool) -> None:
    """The claim's answer is lost; it is granted again by its nonce, or a report's look tells of the 429 before that."""
    fleet = Fleet()
    (replica,) = fleet.start(1)
    replica.wire.lose_answers_of = {"claim"}
    await asyncio.sleep(0.55)
    assert "claim" in replica.wire.operations
    await tell_of_a_429(fleet)
    replica.wire.lose_answers_of = set()
    if looks:
        await replica.broker.report(UNKNOWN_ID)
    await nobody_calls_before_the_end(fleet)
    await fleet.stop()


async def learn_of_a_429_during_a_local_call(fleet: Fleet) -> Replica:
    """Then the store is away again."""
    (replica,) = fleet.start(1)
    replica.wire.cut = True
    await fleet.partner.called(1)
    replica.wire.cut = False
    await tell_of_a_429(fleet)
    await replica.broker.report(UNKNOWN_ID)
    replica.wire.cut = True
    return replica


@virtual
async def test_a_cool_down_learned_of_during_a_local_call_outlives_its_token() -> None:
    fleet = Fleet(profile=ALONE, partner=FakePartner(latency_s=2))
    replica = await learn_of_a_429_during_a_local_call(fleet)
    await asyncio.sleep(3)
    vended = await replica.broker.vend()
    assert (await replica.broker.report(vended.token.token_id)).verdict == "later"
    await nobody_calls_before_the_end(fleet)
    await fleet.stop()


@virtual
async def test_a_cool_down_learned_of_during_a_local_call_outlives_its_failure() -> None:
    fleet = Fleet(profile=ALONE, partner=FakePartner(latency_s=2))
    fleet.partner.script.append(failure(FailureKind.SERVER_ERROR))
    await learn_of_a_429_during_a_local_call(fleet)
    await nobody_calls_before_the_end(fleet)
    await fleet.stop()


@virtual
async def test_a_cool_down_is_known_though_the_store_could_not_be_reminded() -> None:
    """Its answer asks to be told of the token first; that fails, and then the store is away."""
    fleet = Fleet(profile=ALONE)
    (replica,) = fleet.start(1)
    replica.wire.cut = True
    vended = await replica.broker.vend()
    await tell_of_a_429(fleet)
    replica.wire.lose_answers_of = {"seed"}
    replica.wire.cut = False
    await replica.broker.report(UNKNOWN_ID)
    assert "seed" in replica.wire.operations
    replica.wire.cut = True
    await replica.broker.report(vended.token.token_id)
    await nobody_calls_before_the_end(fleet)
    await fleet.stop()


@virtual
async def test_a_cool_down_told_of_after_a_grant_stays_where_fences_run_ahead_of_the_clock() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    vended = await replica.broker.vend()
    set_store_clock_back(fleet)
    await asyncio.sleep(20)
    fleet.partner.latency_s = 2
    await replica.broker.report(vended.token.token_id)
    await fleet.partner.called(2)
    await tell_of_a_429(fleet)
    await asyncio.sleep(5)
    vended = await replica.broker.vend()
    assert vended.token.access.reveal() == "token-2"
    await replica.broker.report(vended.token.token_id)
    await nobody_calls_before_the_end(fleet)
    await fleet.stop()


# -- tokens and reports -----------------------------------------------------------------------------------------------


@virtual
async def test_a_report_during_a_call_is_not_answered_by_the_token_it_brings() -> None:
    """The partner answers a refresh with the token that is valid, and revokes it before the store is told.

    A replica that took the report and is gone since cannot remind anybody of it.
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
async def test_an_own_call_vouches_for_no_token_that_was_adopted_meanwhile() -> None:
    """The lease is forgotten in a fail-over, another token comes and is reported, and the commit is lost."""
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
async def test_a_slow_local_call_takes_the_place_of_no_newer_token() -> None:
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
async def test_a_local_calls_token_ends_nobodys_lease_where_fences_run_ahead_of_the_clock() -> None:
    """The store's clock was set back, so both sides count on from the last fence they know."""
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
async def test_a_report_that_nobody_could_decide_in_time_counts() -> None:
    """The store takes longer than a caller waits: whoever was told `later` gets the token as good no more."""
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
async def test_a_report_counts_though_its_answer_asks_for_a_reminder_and_its_master_is_lost() -> None:
    """The store's clock was set, so it is told of the token first; by then another master answers."""
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
async def test_a_late_reminder_of_old_permits_takes_no_newer_ones_away() -> None:
    """Three that are about to leave the window come in late, where two newer ones are; who got those is gone."""
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
