"""Faults at the worst moment: two at once, a lost reply, a stop in between. Each test stands for a past bug."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sidecar.core.errors import (
    AnswerProblem,
    CredentialsError,
    CredentialsRejectedError,
    FailureKind,
    NoTokenError,
    PartnerUnavailableError,
)
from sidecar.core.events import CredentialsUnreadable, InternalFailure, LeaseLost, PartnerCalled
from sidecar.core.model import (
    Budget,
    Credentials,
    Lifetime,
    Operation,
    Profile,
    Reason,
    Secret,
    Token,
    token_id_of,
)
from sidecar.core.policy import Condition
from sidecar.core.shared_state import ReplicaMemory, State
from sidecar.stores.documents import StoredReport
from sidecar.vending.refresh_attempt import Adopted
from tests.support.fleet import Fleet, Replica, credentials
from tests.support.partner import FakePartner, failure
from tests.support.virtual_time import virtual

SHORT = Profile(base_url="https://partner.example", lifetime_s=100, fleet_size=1)


def now() -> float:
    return asyncio.get_running_loop().time()


async def first_token(replica: Replica) -> str:
    """Request a token until there is one, as often as the errors say."""
    while True:
        try:
            return await replica.token()
        except NoTokenError as blocker:
            await asyncio.sleep(blocker.retry_after_s)


def pause_left_s(replica: Replica) -> float:
    return max(0, replica.broker.snapshot().pause_until - replica.broker.clock.wall())


# -- store outages ----------------------------------------------------------------------------------------------------


@virtual
async def test_a_429_of_a_local_call_is_stored_once_the_store_is_back() -> None:
    """Also when this replica's own token is newer than any token of the store."""
    fleet = Fleet(profile=SHORT)
    (replica,) = fleet.start(1)
    await replica.token()
    fleet.cut()
    await fleet.partner.called(2)
    await asyncio.sleep(1)
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=300))
    await fleet.partner.called(3)
    await asyncio.sleep(1)
    fleet.cut(cut=False)
    await asyncio.sleep(3)
    (newcomer,) = fleet.start(1)
    await asyncio.sleep(250)
    assert fleet.partner.count == 3
    assert pause_left_s(replica) == pytest.approx(pause_left_s(newcomer), abs=0.1)
    assert pause_left_s(replica) > 40
    await fleet.stop()


@virtual
async def test_a_429_recorded_while_the_store_is_being_seeded_is_kept() -> None:
    fleet = Fleet(profile=SHORT, partner=FakePartner(latency_s=1))
    (replica,) = fleet.start(1)
    vended = await replica.broker.vend()
    await asyncio.sleep(3)
    fleet.cut()
    await replica.broker.report(vended.token.token_id)
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=300))
    await fleet.partner.called(2)
    await asyncio.sleep(0.65)
    fleet.cut(cut=False)
    replica.wire.delay_s = 0.2
    await asyncio.gather(replica.broker.report("0" * 32), asyncio.sleep(0.8))
    replica.wire.delay_s = 0
    await asyncio.sleep(200)
    assert pause_left_s(replica) > 90
    assert fleet.partner.count == 2
    await fleet.stop()


@virtual
async def test_a_local_call_never_spends_the_refresh_token_that_all_replicas_hold() -> None:
    fleet = Fleet(partner=FakePartner(can_refresh=True))
    replicas = fleet.start(4)
    await asyncio.gather(*(replica.token() for replica in replicas))
    fleet.cut()
    await asyncio.sleep(1000)
    assert fleet.partner.count > 1
    assert {operation for _, operation in fleet.partner.calls} == {Operation.GRANT}
    await fleet.stop()


@virtual
async def test_reports_spend_half_of_the_share_while_the_store_is_down() -> None:
    fleet = Fleet(profile=Profile(base_url="https://partner.example", fleet_size=1, budget=Budget(6, 60)))
    (replica,) = fleet.start(1)
    await replica.token()
    fleet.cut()
    await asyncio.sleep(61)
    before, until = fleet.partner.count, now() + 59
    while now() < until:
        vended = await replica.broker.vend()
        await replica.broker.report(vended.token.token_id)
        await asyncio.sleep(0.5)
    assert fleet.partner.count - before <= 3
    await fleet.stop()


@virtual
async def test_a_claim_whose_reply_was_lost_is_granted_again() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    replica.wire.lose_answers_of = {"claim"}
    await asyncio.sleep(0.55)
    replica.wire.lose_answers_of = set()
    assert await first_token(replica) == "token-1"
    assert now() < 5
    assert replica.broker.snapshot().budget_remaining == 5
    await fleet.stop()


# -- reports ----------------------------------------------------------------------------------------------------------


@virtual
async def test_reports_of_invented_tokens_delay_no_refresh() -> None:
    """Sixty concurrent callers, a store with 50 ms of latency, and a token that reaches its refresh point."""
    fleet = Fleet(profile=SHORT)
    (replica,) = fleet.start(1)
    await replica.token()
    replica.wire.delay_s = 0.05
    ended = asyncio.Event()

    async def make_up_reports(app: int) -> None:
        number = 0
        while not ended.is_set():
            number += 1
            assert (await replica.broker.report(f"{app:08x}{number:024x}")).verdict == "already-replaced"

    apps = [asyncio.ensure_future(make_up_reports(app)) for app in range(60)]
    while now() < 120:
        assert not (await replica.broker.vend()).suspect
        await asyncio.sleep(1)
    ended.set()
    await asyncio.gather(*apps)
    assert fleet.partner.count == 2
    assert not replica.sink.of(LeaseLost)
    await fleet.stop()


@virtual
async def test_a_token_adopted_before_the_claim_is_not_replaced_at_once() -> None:
    """A report's read of the store returns the new token between the decision to refresh and the claim."""
    fleet = Fleet()
    slow, quick = fleet.start(2)
    vended = await slow.broker.vend()
    await quick.token()
    slow.wire.delay_s = 100
    await quick.broker.report(vended.token.token_id)
    await fleet.partner.called(2)
    await asyncio.sleep(1)
    state = await fleet.store.shared_state(fleet.profile).peek(vended.token.fence)
    attempt = asyncio.ensure_future(slow.parts.refresher.refresh(Reason.REJECTED))
    await asyncio.sleep(0)
    assert slow.parts.replica.follow(state, now())
    slow.wire.delay_s = 0
    assert await attempt == Adopted()
    assert fleet.partner.count == 2
    await fleet.stop()


@virtual
async def test_a_report_that_cannot_be_stored_is_kept_until_it_can() -> None:
    fleet = Fleet()
    replica, other = fleet.start(2)
    vended = await replica.broker.vend()
    await other.token()
    await asyncio.sleep(10)
    fleet.partner.script.extend(failure(FailureKind.SERVER_ERROR) for _ in range(1000))
    replica.wire.cut = True
    assert (await replica.broker.report(vended.token.token_id)).verdict == "refreshing"
    assert (await replica.broker.report("0" * 32)).verdict == "already-replaced"
    await asyncio.sleep(30)
    assert (await replica.broker.vend()).suspect
    assert not (await other.broker.vend()).suspect
    replica.wire.cut = False
    await asyncio.sleep(60)
    assert (await other.broker.vend()).suspect
    await fleet.stop()


@virtual
async def test_a_report_to_a_store_that_just_lost_its_data_still_counts() -> None:
    """The store is seeded with the token first, and again when the first attempt fails."""
    fleet = Fleet()
    (replica,) = fleet.start(1)
    vended = await replica.broker.vend()
    await asyncio.sleep(30)
    fleet.lose_data()
    replica.wire.lose_answers_of = {"seed"}
    assert (await replica.broker.report(vended.token.token_id)).verdict == "refreshing"
    replica.wire.lose_answers_of = set()
    await asyncio.sleep(fleet.profile.lease_limit_s + 5)
    assert await replica.token() == "token-2"
    assert fleet.partner.count == 2

    vended = await replica.broker.vend()
    await asyncio.sleep(30)
    fleet.lose_data()
    assert (await replica.broker.report(vended.token.token_id)).verdict == "refreshing"
    await asyncio.sleep(fleet.profile.lease_limit_s + 5)
    assert await replica.token() == "token-3"
    await fleet.stop()


@virtual
async def test_credentials_that_become_unreadable_are_reported_and_change_nothing() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    await replica.token()

    def unreadable() -> Credentials:
        raise CredentialsError("api-key is empty")

    replica.files.read = unreadable  # type: ignore[method-assign]  # a file that was removed
    await asyncio.sleep(1000)
    assert not replica.broker.snapshot().credentials_valid
    assert await replica.token() == "token-2"
    assert [event.problem for event in replica.sink.of(CredentialsUnreadable)] == ["api-key is empty"]
    await fleet.stop()


@virtual
async def test_an_unexpected_error_in_a_round_is_logged_and_the_rounds_continue() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    await replica.token()

    def bug() -> Credentials:
        raise ZeroDivisionError("a secret")

    files, replica.files.read = replica.files.read, bug  # type: ignore[method-assign]  # an unexpected error
    await asyncio.sleep(20)
    replica.files.read = files  # type: ignore[method-assign]  # repaired
    await asyncio.sleep(1000)
    assert await replica.token() == "token-2"
    logged = replica.sink.of(InternalFailure)
    assert logged
    assert all("ZeroDivisionError" in event.trace and "a secret" not in event.trace for event in logged)
    await fleet.stop()


# -- stopping ---------------------------------------------------------------------------------------------------------


@virtual
async def test_a_waiting_caller_is_answered_at_the_stop_and_no_refresh_attempt_starts_after_it() -> None:
    fleet = Fleet(partner=FakePartner(latency_s=8))
    (holder,) = fleet.start(1)
    await asyncio.sleep(1)
    (leaving,) = fleet.start(1)
    await asyncio.sleep(0.5)
    caller = asyncio.ensure_future(leaving.token())
    await asyncio.sleep(0.2)
    began = now()
    await leaving.stop()
    assert now() - began < 2
    with pytest.raises(NoTokenError):
        await caller
    before = len(leaving.wire.operations)
    with pytest.raises(NoTokenError):
        await leaving.token()
    await asyncio.sleep(20)
    assert len(leaving.wire.operations) == before
    assert not leaving.parts.refresher.is_refreshing
    await holder.stop()


@virtual
async def test_a_caller_that_comes_during_the_stop_is_answered_at_once() -> None:
    """The running partner call still has its second, and no caller waits for it any more."""
    fleet = Fleet(partner=FakePartner(latency_s=8))
    (leaving,) = fleet.start(1)
    await asyncio.sleep(1)
    stop = asyncio.ensure_future(leaving.stop())
    await asyncio.sleep(0.5)
    assert leaving.parts.refresher.is_refreshing
    with pytest.raises(NoTokenError):
        await leaving.token()
    assert now() == 1.5
    await stop


@virtual
async def test_a_running_report_is_answered_at_the_stop() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    vended = await replica.broker.vend()
    replica.wire.delay_s = 0.4
    report = asyncio.ensure_future(replica.broker.report(vended.token.token_id))
    await asyncio.sleep(0.1)
    await replica.stop()
    assert (await report).verdict == "later"


@virtual
async def test_a_long_poll_is_released_at_the_stop() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    vended = await replica.broker.vend()
    poll = asyncio.ensure_future(replica.broker.changed(vended.token.token_id, 60))
    await asyncio.sleep(1)
    await replica.stop()
    assert not await asyncio.wait_for(poll, 0.01)


@virtual
async def test_a_stop_in_the_middle_of_a_claim_leaves_no_lease_behind() -> None:
    fleet = Fleet()
    (leaving,) = fleet.start(1)
    leaving.wire.answer_delay_s = {"claim": 0.3}
    await asyncio.sleep(0.1)
    await leaving.stop()
    began = now()
    (successor,) = fleet.start(1)
    assert await first_token(successor) == "token-1"
    assert now() - began < 1
    await successor.stop()


# -- the partner ------------------------------------------------------------------------------------------------------


@virtual
async def test_a_partner_that_fails_in_turns_is_called_less_and_less_often_too() -> None:
    fleet = Fleet()
    fleet.start(1)
    for _ in range(500):
        fleet.partner.script += [failure(FailureKind.THROTTLED, status=429), failure(FailureKind.TIMEOUT)]
    await asyncio.sleep(3600)
    assert fleet.partner.count < 30
    await fleet.stop()


@virtual
async def test_a_token_that_has_expired_on_arrival_is_a_failed_call() -> None:
    fleet = Fleet(partner=FakePartner(lifetime_s=0.15))
    (replica,) = fleet.start(1)
    with pytest.raises(PartnerUnavailableError):
        await replica.token()
    await asyncio.sleep(600)
    assert fleet.partner.count < 60
    assert replica.broker.snapshot().condition is Condition.EXPIRED
    await fleet.stop()


@virtual
async def test_callers_wait_out_one_failure_at_a_cold_start() -> None:
    fleet = Fleet()
    fleet.partner.script.append(failure(FailureKind.SERVER_ERROR))
    (replica,) = fleet.start(1)
    assert await replica.token() == "token-1"
    assert fleet.partner.count == 2
    await fleet.stop()


@virtual
async def test_a_caller_at_its_time_limit_gets_the_token_that_came_meanwhile() -> None:
    """The token is used from its arrival, and its caller waited on for the commit."""
    fleet = Fleet(profile=replace(SHORT, request_timeout_s=0.3))
    (replica,) = fleet.start(1)
    replica.wire.answer_delay_s["commit"] = 0.4
    assert await replica.token() == "token-1"
    await fleet.stop()


@virtual
async def test_a_min_ttl_of_the_whole_lifetime_is_refused_without_a_call() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    await replica.token()
    for _ in range(3):
        with pytest.raises(Exception, match="beyond the token's lifetime"):
            await replica.token(min_ttl_s=900)
    assert fleet.partner.count == 1
    await fleet.stop()


@virtual
async def test_rejected_credentials_name_their_own_retry() -> None:
    """Not the retry of credentials that no replica uses any more."""
    fleet = Fleet(partner=FakePartner(good_secrets=set()))
    (replica,) = fleet.start(1)
    await asyncio.sleep(110)
    replica.files.credentials = credentials("secret-2")
    await asyncio.sleep(12)
    with pytest.raises(CredentialsRejectedError) as caught:
        await replica.token()
    assert caught.value.retry_after_s > 100
    await fleet.stop()


@virtual
async def test_a_failed_refresh_is_followed_by_a_grant() -> None:
    """The refresh token is used once. After a timeout it is unknown whether the partner accepted it."""
    fleet = Fleet(partner=FakePartner(can_refresh=True))
    (replica,) = fleet.start(1)
    await replica.token()
    fleet.partner.script.append(failure(FailureKind.TIMEOUT))
    await fleet.partner.called(3)
    assert [operation for _, operation in fleet.partner.calls] == [
        Operation.GRANT,
        Operation.REFRESH,
        Operation.GRANT,
    ]
    await fleet.stop()


@virtual
async def test_a_caller_whose_back_off_is_over_takes_the_token_that_came_meanwhile() -> None:
    """It waits for the end of the back-off. A replica that had been cut off offers a token of a local call."""
    fleet = Fleet()
    (replica,) = fleet.start(1)
    fleet.partner.script.append(failure(FailureKind.SERVER_ERROR, retry_after_s=3))
    waiting = asyncio.ensure_future(replica.token())
    await fleet.partner.called(1)
    await asyncio.sleep(0.5)
    access, used = Secret("token-offered"), credentials()
    offered = Token(
        access=access, token_id=token_id_of(access), role="API_USER", fence=int(replica.broker.clock.wall() * 1000),
        issued_at=replica.broker.clock.wall(), lifetime_s=900, lifetime=Lifetime.ASSUMED,
        credentials_id=used.credentials_id,
    )  # fmt: skip
    await fleet.store.shared_state(fleet.profile).seed(ReplicaMemory(state=State(), token=offered, token_age_s=0))
    assert await waiting == "token-offered"
    await asyncio.sleep(5)
    assert fleet.partner.count == 1
    await fleet.stop()


@virtual
async def test_a_partner_that_returns_one_token_until_its_end_is_not_called_ever_more_often() -> None:
    """Each response declares the rest of the lifetime. A refresh after a share of it would cause ever more calls."""
    partner = FakePartner(same_token=True)

    async def declare_what_is_left() -> None:
        partner.lifetime_s = 600 - now()

    partner.always = declare_what_is_left
    fleet = Fleet(partner=partner)
    (replica,) = fleet.start(1)
    await asyncio.sleep(597)
    assert await replica.token() == "token-1"
    assert [round(at) for at, _ in partner.calls] == [0, pytest.approx(495, abs=15), pytest.approx(588, abs=3)]
    await fleet.stop()


@virtual
async def test_a_token_that_expired_on_its_way_is_not_vended_and_the_log_has_the_reason() -> None:
    partner = FakePartner()
    partner.lifetime_s = 1

    async def take_longer() -> None:
        await asyncio.sleep(2)

    partner.always = take_longer
    fleet = Fleet(partner=partner)
    (replica,) = fleet.start(1)
    await asyncio.sleep(5)
    called = replica.sink.of(PartnerCalled)[0]
    assert (called.outcome, called.problem) == (FailureKind.MALFORMED, AnswerProblem.ENDED)
    await fleet.stop()


@virtual
async def test_a_rejected_token_stays_marked_while_the_store_has_another_one() -> None:
    """The holder's call fails, and the store's reply names a token that the holder does not have yet."""
    fleet = Fleet()
    first, _ = fleet.start(2)
    token = (await first.broker.vend()).token
    await asyncio.sleep(5)
    fleet.partner.latency_s = 1
    fleet.partner.script.append(failure(FailureKind.SERVER_ERROR, retry_after_s=50))
    await first.broker.report(token.token_id)
    await fleet.partner.called(2)
    newer = replace(token, access=Secret("token-9"), token_id=token_id_of(Secret("token-9")), fence=token.fence + 1)
    await fleet.store.shared_state(fleet.profile).seed(ReplicaMemory(state=State(), token=newer, token_age_s=0))
    while now() < 8:
        vended = await first.broker.vend()
        assert vended.suspect or vended.token.token_id != token.token_id
        await asyncio.sleep(0.01)
    assert await first.token() == "token-9"
    await fleet.stop()


@virtual
async def test_the_stores_state_of_another_token_does_not_unmark_the_held_one() -> None:
    """Two masters issued the same fence: the store's token is not the one that was rejected here."""
    fleet = Fleet()
    (replica,) = fleet.start(1)
    token = (await replica.broker.vend()).token
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=100))
    await replica.broker.report(token.token_id)
    await asyncio.sleep(5)
    cell, held = fleet.store._records[fleet.profile.profile_id], replica.parts.replica
    assert cell.gate is not None
    cell.token = replace(token, token_id="another")
    cell.gate.reported = StoredReport("another", cell.gate.fence, 0)
    held.follow(await replica.wire.peek(held.known_fence), now())
    assert (await replica.broker.vend()).suspect
    await fleet.stop()


@virtual
async def test_of_two_tokens_with_one_fence_the_stores_is_used() -> None:
    """Two masters may issue the same fence. A replica that holds the other token takes the store's."""
    fleet = Fleet()
    replicas = fleet.start(3)
    token = (await replicas[0].broker.vend()).token
    await asyncio.sleep(5)
    twin = replace(token, access=Secret("token-of-the-other"), token_id=token_id_of(Secret("token-of-the-other")))
    fleet.store._records[fleet.profile.profile_id].token = twin
    await asyncio.sleep(2 * fleet.profile.poll_s)
    assert {await replica.token() for replica in replicas} == {"token-of-the-other"}
    await fleet.stop()
