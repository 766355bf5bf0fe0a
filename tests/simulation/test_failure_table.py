"""The failure table of docs/architecture.md, row by row, where virtual time fits; the others are in `tests/fleet`."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from sidecar.core.errors import (
    BadRequestError,
    BudgetExhaustedError,
    CoolingDownError,
    CredentialsRejectedError,
    FailureKind,
    NoTokenError,
    PartnerRefusedError,
    PartnerUnavailableError,
    StoreUnavailableError,
)
from sidecar.core.events import AttemptEnded, LeaseLost, StoreDataLost
from sidecar.core.model import Budget, Lifetime, Operation, Profile, StoreFailure
from sidecar.core.policy import Condition
from tests.support.fleet import Fleet, credentials
from tests.support.partner import FakePartner, failure, hang
from tests.support.virtual_time import virtual

BASE_URL = "https://partner.example"


def most_calls_in_a_window(partner: FakePartner, window_s: float = 60) -> int:
    times = [at for at, _ in partner.calls]
    return max((sum(1 for other in times if at <= other < at + window_s - 0.001) for at in times), default=0)


def most_caller_requested_calls_in_a_window(fleet: Fleet) -> int:
    """Count calls that reports and `min_ttl` requested: each refresh attempt ends with its call."""
    times = [
        at
        for replica in fleet.replicas
        for at, event in replica.sink.timed
        if isinstance(event, AttemptEnded) and event.result == "fetched" and event.reason.caller_requested
    ]
    return max(sum(1 for other in times if at <= other < at + 59) for at in times)


def now() -> float:
    return asyncio.get_running_loop().time()


# -- cold start, crashes, pauses --------------------------------------------------------------------------------------


@virtual
async def test_ten_thousand_callers_at_a_cold_start_cost_one_call() -> None:
    fleet = Fleet()
    replicas = fleet.start(10)
    callers = (replica.token() for replica in replicas for _ in range(1000))
    assert set(await asyncio.gather(*callers)) == {"token-1"}
    assert fleet.partner.count == 1
    await fleet.stop()


@virtual
async def test_a_killed_holder_costs_one_more_call_after_its_lease_ran_out() -> None:
    fleet = Fleet(partner=FakePartner(latency_s=5))
    (holder,) = fleet.start(1)
    await asyncio.sleep(1)
    (other,) = fleet.start(1)
    await holder.kill()
    began = now()
    while True:
        try:
            assert await other.token() == "token-1"
            break
        except NoTokenError as blocker:
            await asyncio.sleep(blocker.retry_after_s)
    assert fleet.partner.count == 2
    assert now() - began <= fleet.profile.lease_limit_s + 5 + 1
    await other.stop()


@virtual
async def test_a_holder_whose_commit_comes_too_late_adopts_the_newer_token() -> None:
    """Its way to the store is blocked for longer than the lease, and another replica fetches a token meanwhile."""
    fleet = Fleet()
    late, other = fleet.start(2)
    assert await late.token() == await other.token() == "token-1"

    async def store_gone_for_the_holder() -> None:
        holder = late if (attempt := late.parts.refresher._attempt) is not None and attempt.is_calling else other
        holder.wire.delay_s = fleet.profile.lease_limit_s + 2

    fleet.partner.script.append(store_gone_for_the_holder)
    await asyncio.sleep(fleet.profile.lifetime_s)
    late.wire.delay_s = other.wire.delay_s = 0
    await asyncio.sleep(30)
    lost = [*late.sink.of(LeaseLost), *other.sink.of(LeaseLost)]
    assert [event.stage for event in lost] == ["commit"]
    assert await late.token() == await other.token() == fleet.partner.current == "token-3"
    assert fleet.partner.count == 3
    await fleet.stop()


@virtual
async def test_a_holder_that_was_paused_before_the_call_does_not_call() -> None:
    """The answer to its claim arrives after the lease's limit: not a byte goes out."""
    fleet = Fleet()
    (slow,) = fleet.start(1)
    slow.wire.delay_s = fleet.profile.lease_limit_s
    await asyncio.sleep(fleet.profile.lease_limit_s * 3)
    assert fleet.partner.count == 0
    assert slow.sink.of(LeaseLost)
    slow.wire.delay_s = 0
    await asyncio.sleep(fleet.profile.lease_limit_s * 3)
    assert fleet.partner.count == 1
    await fleet.stop()


@virtual
async def test_a_caller_that_disconnects_affects_no_other_caller() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    first = asyncio.ensure_future(replica.token())
    await asyncio.sleep(0.1)
    first.cancel()
    assert await replica.token() == "token-1"
    assert fleet.partner.count == 1
    await fleet.stop()


@virtual
async def test_nine_rolling_restarts_cost_no_call() -> None:
    fleet = Fleet()
    replicas = fleet.start(3)
    await asyncio.gather(*(replica.token() for replica in replicas))
    for _ in range(9):
        for old in list(fleet.replicas):
            (new,) = fleet.start(1)
            assert await new.token() == "token-1"
            await old.stop()
            fleet.replicas.remove(old)
    assert fleet.partner.count == 1
    await fleet.stop()


# -- rotation ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("can_refresh", [False, True])
def test_five_replicas_make_one_call_a_rotation_for_hours(can_refresh: bool) -> None:
    @virtual
    async def hours() -> None:
        fleet = Fleet(partner=FakePartner(can_refresh=can_refresh))
        fleet.start(5)
        await asyncio.sleep(20_000)
        assert 20_000 / 765 <= fleet.partner.count <= 20_000 / 720 + 1
        gaps_s = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(fleet.partner.calls)]
        assert min(gaps_s) >= 720
        if can_refresh:
            assert {operation for _, operation in fleet.partner.calls[1:]} == {Operation.REFRESH}
        await fleet.stop()

    hours()


@virtual
async def test_all_vend_the_new_token_within_half_a_second_of_a_rotation() -> None:
    """The partner may revoke the old token as soon as it issues the next."""
    fleet = Fleet()
    replicas = fleet.start(10)
    for rotation in range(2, 12):
        await fleet.partner.called(rotation)
        await asyncio.sleep(fleet.partner.latency_s + 0.5)
        assert {await replica.token() for replica in replicas} == {f"token-{rotation}"}
    await fleet.stop()


@virtual
async def test_a_token_is_never_vended_past_its_declared_end() -> None:
    fleet = Fleet(partner=FakePartner(lifetime_s=100))
    (replica,) = fleet.start(1)
    assert await replica.token() == "token-1"
    fleet.partner.script.extend(failure(FailureKind.SERVER_ERROR) for _ in range(500))
    while now() < 300:
        try:
            vended = await replica.broker.vend()
        except NoTokenError as blocker:
            assert now() >= 90
            await asyncio.sleep(blocker.retry_after_s)
        else:
            assert now() < 90
            assert not vended.suspect
            assert vended.expires_in_s >= 10
            await asyncio.sleep(1)
    assert most_calls_in_a_window(fleet.partner) <= 6
    await fleet.stop()


# -- partner responses ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("retry_after_s", "pause_s"), [(120.0, 120), (None, 30)])
def test_a_429_starts_a_cool_down_that_all_replicas_keep(retry_after_s: float | None, pause_s: float) -> None:
    @virtual
    async def run() -> None:
        fleet = Fleet()
        fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=retry_after_s))
        replicas = fleet.start(3)
        for replica in replicas:
            with pytest.raises(CoolingDownError) as caught:
                await replica.token()
            assert pause_s - 3 < caught.value.retry_after_s <= pause_s
            assert caught.value.partner is not None
            assert caught.value.partner.session_id == "S-1"
        (newcomer,) = fleet.start(1)
        with pytest.raises(CoolingDownError):
            await newcomer.token()
        await asyncio.sleep(pause_s - 5)
        assert fleet.partner.count == 1
        await asyncio.sleep(10)
        assert {await replica.token() for replica in fleet.replicas} == {"token-1"}
        assert fleet.partner.count == 2
        await fleet.stop()

    run()


@virtual
async def test_a_valid_token_is_served_during_a_cool_down() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    assert await replica.token() == "token-1"
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=100))
    while now() < 850:
        assert await replica.token() == "token-1" or fleet.partner.count == 3
        await asyncio.sleep(1)
    first, second, third = (at for at, _ in fleet.partner.calls)
    assert second - first >= 720
    assert third - second >= 100
    await fleet.stop()


@virtual
async def test_further_429s_double_the_cool_down_and_survive_restarts() -> None:
    fleet = Fleet()
    fleet.partner.script.extend(failure(FailureKind.THROTTLED, status=429) for _ in range(7))
    (replica,) = fleet.start(1)
    while fleet.partner.count < 8:
        await asyncio.sleep(5)
        await replica.stop()
        fleet.replicas.clear()
        (replica,) = fleet.start(1)
        assert now() < 10_000
    gaps_s = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(fleet.partner.calls)]
    for gap_s, least_s in zip(gaps_s, (30, 60, 120, 240, 480, 900, 900), strict=True):
        assert least_s <= gap_s < least_s + 10
    await fleet.stop()


@virtual
async def test_rejected_credentials_stop_the_calls_but_for_the_slow_retry() -> None:
    fleet = Fleet(partner=FakePartner(good_secrets=set()))
    replicas = fleet.start(5)
    with pytest.raises(CredentialsRejectedError) as caught:
        await replicas[0].token()
    assert caught.value.partner is not None
    assert caught.value.partner.status == 401
    await asyncio.sleep(7200)
    assert fleet.partner.count <= 7
    assert not replicas[0].broker.snapshot().credentials_valid
    fleet.partner.good_secrets = {"secret-2"}
    for replica in replicas:
        replica.files.credentials = credentials("secret-2")
    await asyncio.sleep(10)
    assert await replicas[4].token() == "token-1"
    assert fleet.partner.secrets_seen[-1] == "secret-2"
    assert replicas[0].broker.snapshot().credentials_valid
    await fleet.stop()


@virtual
async def test_the_old_token_is_served_while_new_credentials_are_invalid() -> None:
    fleet = Fleet(partner=FakePartner(good_secrets={"secret-1"}))
    replicas = fleet.start(3)
    assert await replicas[0].token() == "token-1"
    for replica in replicas:
        replica.files.credentials = credentials("typing-error")
    await asyncio.sleep(60)
    assert fleet.partner.secrets_seen == ["secret-1", "typing-error"]
    assert await replicas[1].token() == "token-1"
    assert not replicas[1].broker.snapshot().credentials_valid
    await asyncio.sleep(900)
    assert await replicas[2].token() == "token-2"
    assert fleet.partner.secrets_seen.count("typing-error") <= 5
    await fleet.stop()


@virtual
async def test_new_credentials_are_tried_with_one_call_and_promoted() -> None:
    fleet = Fleet(partner=FakePartner(can_refresh=True))
    replicas = fleet.start(4)
    assert await replicas[0].token() == "token-1"
    for replica in replicas:
        await asyncio.sleep(7)
        replica.files.credentials = credentials("secret-2")
    await asyncio.sleep(20)
    assert fleet.partner.secrets_seen == ["secret-1", "secret-2"]
    assert {await replica.token() for replica in replicas} == {"token-2"}
    await fleet.stop()


@virtual
async def test_a_rejected_refresh_token_is_replaced_by_one_grant() -> None:
    fleet = Fleet(partner=FakePartner(can_refresh=True))
    replicas = fleet.start(3)
    assert await replicas[0].token() == "token-1"
    fleet.partner.script.append(failure(FailureKind.UNAUTHORIZED, status=401))
    await asyncio.sleep(800)
    operations = [operation for _, operation in fleet.partner.calls]
    assert operations == [Operation.GRANT, Operation.REFRESH, Operation.GRANT]
    assert {await replica.token() for replica in replicas} == {"token-2"}
    # A partner whose refresh tokens end too early must not cost two calls a rotation.
    await asyncio.sleep(5 * 800)
    assert {operation for _, operation in fleet.partner.calls[3:]} == {Operation.GRANT}
    assert len(fleet.partner.calls[3:]) <= 6
    assert all(replica.broker.snapshot().credentials_valid for replica in replicas)
    await fleet.stop()


@pytest.mark.parametrize(
    "kind", [FailureKind.SERVER_ERROR, FailureKind.TIMEOUT, FailureKind.CONNECT, FailureKind.MALFORMED]
)
def test_a_failing_partner_is_called_less_and_less_often_within_the_budget(kind: FailureKind) -> None:
    @virtual
    async def run() -> None:
        fleet = Fleet()
        fleet.partner.script.extend(failure(kind) for _ in range(10_000))
        replicas = fleet.start(10)
        early = 0
        for second in range(600):
            if second == 300:
                early = fleet.partner.count
            with pytest.raises((PartnerUnavailableError, BudgetExhaustedError)):
                await replicas[0].token()
            await asyncio.sleep(1)
        assert most_calls_in_a_window(fleet.partner) <= 6
        # The budget would allow 30 calls.
        assert fleet.partner.count - early < min(early, 30)
        fleet.partner.script.clear()
        await asyncio.sleep(policy_bound_s(fleet.profile))
        assert {await replica.token() for replica in replicas} == {"token-1"}
        await fleet.stop()

    run()


def policy_bound_s(profile: Profile) -> float:
    """Invariant 5: the lease limit and the longest back-off."""
    return profile.lease_limit_s + 30


@virtual
async def test_a_refused_request_names_the_configuration() -> None:
    fleet = Fleet()
    fleet.partner.script.extend(failure(FailureKind.BAD_REQUEST, status=404) for _ in range(100))
    (replica,) = fleet.start(1)
    with pytest.raises(PartnerRefusedError):
        await replica.token()
    await asyncio.sleep(3600)
    assert fleet.partner.count <= 6
    await fleet.stop()


# -- reports ----------------------------------------------------------------------------------------------------------


@virtual
async def test_many_reports_of_one_token_cost_one_call_and_a_late_one_nothing() -> None:
    fleet = Fleet()
    replicas = fleet.start(4)
    vended = await replicas[0].broker.vend()
    await asyncio.gather(*(replica.token() for replica in replicas))
    reports = await asyncio.gather(
        *(replica.broker.report(vended.token.token_id) for replica in replicas for _ in range(250))
    )
    assert {report.verdict for report in reports} == {"refreshing"}
    assert {await replica.token() for replica in replicas[:1]} == {"token-2"}
    await asyncio.sleep(fleet.profile.poll_s)
    assert {await replica.token() for replica in replicas} == {"token-2"}
    for replica in replicas:
        assert (await replica.broker.report(vended.token.token_id)).verdict == "already-replaced"
    assert fleet.partner.count == 2
    await fleet.stop()


@virtual
async def test_a_rejected_token_is_vended_by_no_replica_after_the_poll_interval() -> None:
    fleet = Fleet(partner=FakePartner(latency_s=9))
    replicas = fleet.start(4)
    await asyncio.sleep(10)
    vended = await replicas[0].broker.vend()
    await asyncio.sleep(60)
    assert (await replicas[0].broker.report(vended.token.token_id)).verdict == "refreshing"
    assert replicas[0].broker.current() is None
    await asyncio.sleep(fleet.profile.poll_s)
    assert [replica.broker.current() for replica in replicas] == [None] * 4
    await fleet.stop()


@virtual
async def test_an_app_that_reports_every_token_spends_at_most_half_of_the_budget() -> None:
    fleet = Fleet()
    hostile, fair = fleet.start(2)
    verdicts = set()
    while now() < 1800:
        vended = await fair.broker.vend()
        verdicts.add((await hostile.broker.report(vended.token.token_id)).verdict)
        assert vended.token.access.reveal()
        await asyncio.sleep(0.5)
    assert most_caller_requested_calls_in_a_window(fleet) <= 3
    assert most_calls_in_a_window(fleet.partner) <= 6
    assert "later" in verdicts
    await fleet.stop()


@virtual
async def test_endless_min_ttl_requests_spend_at_most_half_of_the_budget() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    await replica.token()
    refused = 0
    while now() < 600:
        await asyncio.sleep(2)
        try:
            assert (await replica.broker.vend(min_ttl_s=899)).expires_in_s >= 899
        except BudgetExhaustedError:
            refused += 1
        assert replica.broker.current() is not None
    assert most_caller_requested_calls_in_a_window(fleet) <= 3
    assert refused > 200
    await fleet.stop()


@virtual
async def test_min_ttl_refreshes_ahead_only_when_the_token_is_too_old_for_it() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    assert await replica.token() == "token-1"
    await asyncio.sleep(100)
    assert await replica.token(min_ttl_s=700) == "token-1"
    assert await replica.token(min_ttl_s=850) == "token-2"
    with pytest.raises(BadRequestError):
        await replica.token(min_ttl_s=901)
    with pytest.raises(BadRequestError):
        await replica.token(min_ttl_s=900)
    await fleet.stop()


@virtual
async def test_a_partner_that_returns_the_reported_token_shows_that_the_report_was_mistaken() -> None:
    fleet = Fleet(partner=FakePartner(same_token=True))
    replicas = fleet.start(2)
    vended = await replicas[0].broker.vend()
    await asyncio.sleep(5)
    assert (await replicas[0].broker.report(vended.token.token_id)).verdict == "refreshing"
    assert await replicas[0].token() == "token-1"
    await asyncio.sleep(fleet.profile.poll_s)
    for replica in replicas:
        assert (await replica.broker.report(vended.token.token_id)).verdict == "confirmed"
        assert not (await replica.broker.vend()).suspect
    assert fleet.partner.count == 2
    await fleet.stop()


@virtual
async def test_a_rejected_token_is_vended_as_suspect_only_while_no_other_is_available() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    vended = await replica.broker.vend()
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=60))
    await replica.broker.report(vended.token.token_id)
    suspect = await replica.broker.vend()
    assert (suspect.suspect, suspect.expires_in_s, suspect.token.token_id) == (True, 1, vended.token.token_id)
    assert (await replica.broker.report(vended.token.token_id)).verdict == "later"
    await asyncio.sleep(61)
    fresh = await replica.broker.vend()
    assert (fresh.suspect, fresh.token.access.reveal()) == (False, "token-2")
    await fleet.stop()


@virtual
async def test_an_over_age_token_is_vended_as_suspect_for_the_set_time_and_no_longer() -> None:
    fleet = Fleet(profile=Profile(base_url=BASE_URL, lifetime_s=100, max_stale_s=200))
    (replica,) = fleet.start(1)
    await replica.token()
    fleet.partner.script.extend(failure(FailureKind.SERVER_ERROR) for _ in range(10_000))
    seen = set()
    while now() < 400:
        try:
            vended = await replica.broker.vend()
            seen.add(("suspect" if vended.suspect else "good", int(now() >= 90), int(now() >= 300)))
        except NoTokenError:
            seen.add(("none", int(now() >= 90), int(now() >= 300)))
        await asyncio.sleep(1)
    assert seen == {("good", 0, 0), ("suspect", 1, 0), ("none", 1, 1)}
    await fleet.stop()


@virtual
async def test_callers_of_a_suspect_token_get_it_when_the_partner_hangs() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    vended = await replica.broker.vend()
    fleet.partner.script.extend([hang] * 10)
    await replica.broker.report(vended.token.token_id)
    began = now()
    assert (await replica.broker.vend()).suspect
    assert now() - began <= fleet.profile.request_timeout_s + 0.01
    await fleet.stop()


@virtual
async def test_a_token_that_is_repeatedly_rejected_at_one_age_is_refreshed_before_that_age() -> None:
    """The partner's tokens live 400 s, and the setting is 900 s. Apps report each token that the partner rejects."""
    fleet = Fleet()
    replicas = fleet.start(3)
    refusals = 0
    while now() < 20_000:
        vended = await replicas[0].broker.vend()
        newest_at = fleet.partner.calls[-1][0]
        if now() - newest_at >= 400:
            refusals += 1
            await replicas[0].broker.report(vended.token.token_id)
        await asyncio.sleep(5)
    rotations = fleet.partner.count
    assert refusals <= rotations / 4
    assert replicas[1].broker.snapshot().learned_s == pytest.approx(400, rel=0.3)
    vended = await replicas[1].broker.vend()
    assert vended.token.lifetime is Lifetime.LEARNED
    await fleet.stop()


# -- the store --------------------------------------------------------------------------------------------------------


@virtual
async def test_store_down_at_the_start_costs_each_replica_its_share_at_most() -> None:
    fleet = Fleet()
    replicas = fleet.start(5)
    fleet.cut()
    await asyncio.sleep(10)
    assert len({await replica.token() for replica in replicas}) == 5
    assert fleet.partner.count == 5
    await asyncio.sleep(600)
    assert fleet.partner.count == 5
    fleet.cut(cut=False)
    await asyncio.sleep(5)
    assert len({await replica.token() for replica in replicas}) == 1
    assert fleet.partner.count == 5
    await fleet.stop()


@virtual
async def test_store_down_with_failures_spends_no_more_than_the_share() -> None:
    fleet = Fleet()
    fleet.partner.script.extend(failure(FailureKind.SERVER_ERROR) for _ in range(1000))
    replicas = fleet.start(10)
    fleet.cut()
    for _ in range(1000):
        with pytest.raises(NoTokenError):
            await replicas[0].token()
        await asyncio.sleep(1)
    assert most_calls_in_a_window(fleet.partner, 100) <= 10
    await fleet.stop()


@virtual
async def test_store_down_at_the_start_fails_where_so_configured() -> None:
    fleet = Fleet(profile=Profile(base_url=BASE_URL, store_failure=StoreFailure.FAIL))
    (replica,) = fleet.start(1)
    fleet.cut()
    for _ in range(10):
        with pytest.raises(StoreUnavailableError) as caught:
            await replica.token()
        assert 0 < caught.value.retry_after_s <= fleet.profile.poll_s + 1e-9
        await asyncio.sleep(caught.value.retry_after_s)
    assert fleet.partner.count == 0
    fleet.cut(cut=False)
    await asyncio.sleep(3)
    assert await replica.token() == "token-1"
    await fleet.stop()


@virtual
async def test_a_later_store_outage_fails_no_caller() -> None:
    fleet = Fleet()
    replicas = fleet.start(4)
    await asyncio.gather(*(replica.token() for replica in replicas))
    fleet.cut()
    while now() < 3000:
        for replica in replicas:
            assert not (await replica.broker.vend()).suspect
        await asyncio.sleep(5)
    assert most_calls_in_a_window(fleet.partner) <= 4
    assert fleet.partner.count <= 1 + 4 * 4
    fleet.cut(cut=False)
    await asyncio.sleep(5)
    assert {await replica.token() for replica in replicas} == {fleet.partner.current}
    await fleet.stop()


@virtual
async def test_a_token_that_could_not_be_committed_is_vended_and_offered_later() -> None:
    fleet = Fleet()
    holder, other = fleet.start(2)

    async def cut() -> None:
        fleet.cut()

    fleet.partner.script.append(cut)
    tokens = await asyncio.gather(holder.token(), other.token(), return_exceptions=True)
    assert "token-1" in tokens
    await asyncio.sleep(1)
    fleet.cut(cut=False)
    await asyncio.sleep(5)
    assert await holder.token() == await other.token()
    assert fleet.partner.count <= 2
    await fleet.stop()


@virtual
async def test_a_store_that_lost_its_data_is_seeded_without_a_partner_call() -> None:
    fleet = Fleet()
    replicas = fleet.start(6)
    await asyncio.gather(*(replica.token() for replica in replicas))
    await asyncio.sleep(10)
    for _ in range(5):
        fleet.lose_data()
        await asyncio.sleep(fleet.profile.poll_s + 0.1)
        (newcomer,) = fleet.start(1)
        assert await newcomer.token() == "token-1"
    assert fleet.partner.count == 1
    assert any(replica.sink.of(StoreDataLost) for replica in replicas)
    await fleet.stop()


@virtual
async def test_a_cool_down_survives_a_store_that_lost_its_data() -> None:
    fleet = Fleet()
    fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=300))
    replicas = fleet.start(3)
    await asyncio.sleep(10)
    for _ in range(10):
        fleet.lose_data()
        await asyncio.sleep(20)
    assert fleet.partner.count == 1
    with pytest.raises(CoolingDownError):
        await replicas[2].token()
    await fleet.stop()


@virtual
async def test_a_delayed_store_reply_does_not_count_as_lost_data() -> None:
    """A report's read of the store is slow, and a rotation has ended before its reply arrives."""
    fleet = Fleet()
    (replica,) = fleet.start(1)
    await replica.token()
    replica.wire.answer_delay_s = {"peek": 0.4, "reject": 0.4}
    while fleet.partner.count < 5:
        await asyncio.gather(*(replica.broker.report(f"{number:032x}") for number in range(3)), asyncio.sleep(0.3))
    assert not replica.sink.of(StoreDataLost)
    await fleet.stop()


@virtual
async def test_a_lost_answer_to_a_claim_or_commit_costs_no_second_call() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    replica.wire.lose_answers_of = {"commit"}
    assert await replica.token() == "token-1"
    await asyncio.sleep(10)
    replica.wire.lose_answers_of = set()
    (other,) = fleet.start(1)
    assert await other.token() == "token-1"
    assert fleet.partner.count == 1
    await fleet.stop()


@virtual
async def test_two_masters_cost_one_call_a_rotation_and_side() -> None:
    """A split brain: each half of the fleet has its own store, and later both have one store again."""
    fleet = Fleet()
    left = fleet.start(3)
    await left[0].token()
    await asyncio.sleep(5)
    right = fleet.start(3)
    await right[0].token()
    whole = fleet.store
    fleet.lose_data()
    for replica in left:
        replica.wire.inner = whole.shared_state(fleet.profile)
    await asyncio.sleep(2000)
    assert fleet.partner.count <= 1 + 2 * 2
    for replica in right:
        replica.wire.inner = whole.shared_state(fleet.profile)
    await asyncio.sleep(5)
    assert len({await replica.token() for replica in fleet.replicas}) == 1
    await fleet.stop()


# -- the rest ---------------------------------------------------------------------------------------------------------


@virtual
async def test_wall_clocks_that_differ_or_jump_change_nothing() -> None:
    fleet = Fleet()
    replicas = fleet.start(4)
    for replica, step_s in zip(replicas, (0, 86_400, -86_400, 1e7), strict=True):
        clock = replica.parts.broker.clock
        clock.wall_step_s = step_s  # type: ignore[attr-defined]
    while now() < 2000:
        for replica in replicas:
            assert not (await replica.broker.vend()).suspect
        await asyncio.sleep(10)
    assert fleet.partner.count == 3
    await fleet.stop()


@virtual
async def test_an_unused_profile_is_not_refreshed_until_the_next_request() -> None:
    fleet = Fleet(profile=Profile(base_url=BASE_URL, idle_s=300))
    (replica,) = fleet.start(1)
    assert await replica.token() == "token-1"
    await asyncio.sleep(10_000)
    assert fleet.partner.count == 1
    assert replica.broker.snapshot().resting
    assert replica.broker.snapshot().ready
    assert await replica.token() == "token-2"
    await asyncio.sleep(250)
    assert not replica.broker.snapshot().resting
    await fleet.stop()


@virtual
async def test_a_spent_budget_is_an_explicit_error() -> None:
    fleet = Fleet(profile=Profile(base_url=BASE_URL, budget=Budget(1, 3600)))
    fleet.partner.script.append(failure(FailureKind.SERVER_ERROR))
    (replica,) = fleet.start(1)
    await asyncio.sleep(40)
    with pytest.raises(BudgetExhaustedError) as caught:
        await replica.token()
    assert 3500 < caught.value.retry_after_s <= 3600
    assert fleet.partner.count == 1
    await asyncio.sleep(3600)
    assert await replica.token() == "token-1"
    await fleet.stop()


@virtual
async def test_a_stop_during_a_call_ends_the_lease_so_that_no_replica_waits_for_it() -> None:
    fleet = Fleet(partner=FakePartner(latency_s=8))
    (leaving,) = fleet.start(1)
    await asyncio.sleep(1)
    began = now()
    await leaving.stop()
    assert now() - began < 2
    fleet.partner.latency_s = 0.1
    (other,) = fleet.start(1)
    await asyncio.sleep(2.5)
    assert await other.token() == "token-1"
    assert now() - began < fleet.profile.lease_limit_s
    await other.stop()


@virtual
async def test_a_long_poll_ends_with_the_next_token_or_its_time_limit() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    vended = await replica.broker.vend()
    assert not await replica.broker.changed(vended.token.token_id, 60)
    assert await replica.broker.changed("another", 60)
    began = now()
    assert await replica.broker.changed(vended.token.token_id, 2000)
    assert now() - began < 900
    await fleet.stop()


@virtual
async def test_a_request_for_a_held_token_does_not_use_the_store() -> None:
    fleet = Fleet()
    (replica,) = fleet.start(1)
    await replica.token()
    before = len(replica.wire.operations)
    for _ in range(10_000):
        assert replica.broker.current() is not None
        await replica.token()
    assert len(replica.wire.operations) == before
    assert replica.broker.snapshot().condition is Condition.FRESH
    await fleet.stop()
