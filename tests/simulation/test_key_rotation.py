"""The API key changes under running sidecars: the new key's account is tried beside the old one's."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from sidecar.core.errors import CredentialsRejectedError, FailureKind, NoTokenError
from sidecar.core.events import CredentialsChanged, CredentialsUnreadable, InternalFailure
from sidecar.core.policy import Condition
from tests.support.key_fleet import PROFILE, KeyFleet, credentials_with, named
from tests.support.partner import FakePartner, failure
from tests.support.virtual_time import virtual

SECRET_1, SECRET_2, SECRET_3 = (credentials_with(f"key-{number}").api_secret.reveal() for number in (1, 2, 3))


async def settled(fleet: KeyFleet) -> None:
    """Wait until all replicas have a token and their reads of the store have ended."""
    await fleet.tokens()
    await asyncio.sleep(3)


@virtual
async def test_the_old_token_is_served_until_the_new_key_has_one_and_that_costs_one_call() -> None:
    fleet = KeyFleet()
    sidecars = fleet.start(4)
    await settled(fleet)
    old = sidecars[0].profile_id
    fleet.partner.latency_s = 5
    fleet.put("key-2")
    await fleet.partner.called(2)
    await asyncio.sleep(4.5)
    assert await fleet.tokens() == {"token-1"}
    await asyncio.sleep(1)
    assert await fleet.tokens() == {"token-2"}
    assert fleet.partner.secrets_seen == [SECRET_1, SECRET_2]
    assert {sidecar.profile_id for sidecar in sidecars} - {old} == {sidecars[0].profile_id}
    await fleet.stop()


@virtual
async def test_after_the_move_only_the_new_key_is_used() -> None:
    fleet = KeyFleet(partner=FakePartner(can_refresh=False))
    fleet.start(3)
    await settled(fleet)
    fleet.put("key-2")
    await asyncio.sleep(2 * 900)
    assert fleet.partner.secrets_seen[0] == SECRET_1
    assert set(fleet.partner.secrets_seen[1:]) == {SECRET_2}
    assert 3 <= fleet.partner.count <= 4, "one call a rotation"
    await fleet.stop()


@virtual
async def test_a_sidecar_with_another_key_never_sees_the_token() -> None:
    fleet = KeyFleet()
    one, other = fleet.start(1, "key-1")[0], fleet.start(1, "key-2")[0]
    assert await one.token() != await other.token()
    for _ in range(40):
        await asyncio.sleep(100)
        mine, theirs = await one.token(), await other.token()
        assert mine != theirs
        assert one.profile_id != other.profile_id
    await fleet.stop()


@virtual
async def test_a_report_with_one_key_does_not_concern_the_other() -> None:
    fleet = KeyFleet()
    one, other = fleet.start(1, "key-1")[0], fleet.start(1, "key-2")[0]
    await settled(fleet)
    kept = await other.token()
    assert (await one.provider.report((await one.provider.vend()).token.token_id)).verdict == "refreshing"
    await asyncio.sleep(10)
    assert await other.token() == kept
    assert fleet.partner.secrets_seen == [SECRET_1, SECRET_2, SECRET_1]
    await fleet.stop()


@virtual
async def test_a_rejected_key_causes_the_slow_retry_and_the_old_one_stays_in_use() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_1}))
    sidecars = fleet.start(3)
    await settled(fleet)
    fleet.put("key-2")
    await asyncio.sleep(30)
    assert fleet.partner.secrets_seen == [SECRET_1, SECRET_2]
    for sidecar in sidecars:
        snapshot = sidecar.provider.snapshot()
        assert not snapshot.credentials_valid
        assert snapshot.ready
        assert snapshot.condition is Condition.FRESH
    failures = [sidecar.provider.snapshot().last_failure for sidecar in sidecars]
    assert [failed.kind for failed in failures if failed is not None] == [FailureKind.UNAUTHORIZED]
    await asyncio.sleep(2 * 900)
    assert len(await fleet.tokens()) == 1
    assert fleet.partner.secrets_seen.count(SECRET_1) == 3, "refreshed with the old key"
    assert 2 <= fleet.partner.secrets_seen.count(SECRET_2) <= 8, "and the new one tried occasionally"
    await fleet.stop()


@virtual
async def test_the_slow_retry_moves_to_the_new_key_once_the_partner_accepts_it() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_1}))
    sidecars = fleet.start(2)
    await settled(fleet)
    fleet.put("key-2")
    await asyncio.sleep(30)
    fleet.partner.good_secrets = {SECRET_1, SECRET_2}
    await asyncio.sleep(3600)
    assert fleet.partner.secrets_seen[-1] == SECRET_2
    assert all(sidecar.provider.snapshot().credentials_valid for sidecar in sidecars)
    assert len(await fleet.tokens()) == 1
    await fleet.stop()


@virtual
async def test_without_the_store_no_replica_tries_the_new_key_while_the_old_token_is_good() -> None:
    fleet = KeyFleet()
    fleet.start(5)
    await settled(fleet)
    fleet.cut()
    fleet.put("key-2")
    await asyncio.sleep(700)
    assert fleet.partner.secrets_seen == [SECRET_1]
    assert await fleet.tokens() == {"token-1"}
    await asyncio.sleep(300)
    assert SECRET_2 in fleet.partner.secrets_seen, "late in the token's life a replica does"
    await fleet.stop()


@virtual
async def test_a_partner_that_is_down_leaves_the_old_token_in_place_until_it_is_back() -> None:
    fleet = KeyFleet()
    fleet.start(2)
    await settled(fleet)
    fleet.partner.script.extend([failure(FailureKind.SERVER_ERROR)] * 2)
    fleet.put("key-2")
    await fleet.partner.called(2)
    await asyncio.sleep(0.5)
    assert await fleet.tokens() == {"token-1"}
    await asyncio.sleep(120)
    assert await fleet.tokens() == {"token-2"}
    assert fleet.partner.secrets_seen == [SECRET_1, SECRET_2, SECRET_2, SECRET_2]
    await fleet.stop()


@virtual
async def test_a_key_that_is_changed_back_ends_the_trial_and_the_alarm() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_1}))
    sidecars = fleet.start(2)
    await settled(fleet)
    fleet.put("key-2")
    await asyncio.sleep(30)
    fleet.put("key-1")
    await asyncio.sleep(700)
    assert fleet.partner.secrets_seen == [SECRET_1, SECRET_2]
    assert await fleet.tokens() == {"token-1"}
    for sidecar in sidecars:
        assert sidecar.provider.snapshot().credentials_valid
        assert [event.credentials_id for event in sidecar.sink.of(CredentialsChanged)] == [
            credentials_with("key-2").credentials_id,
            credentials_with("key-1").credentials_id,
        ]
    await fleet.stop()


@virtual
async def test_a_third_key_replaces_the_one_that_is_tried() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_1, SECRET_3}))
    fleet.start(3)
    await settled(fleet)
    fleet.put("key-2")
    await asyncio.sleep(10)
    fleet.put("key-3")
    await asyncio.sleep(10)
    assert fleet.partner.secrets_seen == [SECRET_1, SECRET_2, SECRET_3]
    assert await fleet.tokens() == {"token-2"}
    await fleet.stop()


@virtual
async def test_of_keys_that_change_faster_than_they_are_tried_the_last_is_used() -> None:
    fleet = KeyFleet(partner=FakePartner(latency_s=2))
    fleet.start(2)
    await settled(fleet)
    for key in ("key-2", "key-3", "key-2", "key-1", "key-3"):
        fleet.put(key)
        await asyncio.sleep(0.7)
    await asyncio.sleep(60)
    assert fleet.partner.secrets_seen[-1] == SECRET_3
    assert len(await fleet.tokens()) == 1
    assert not [event for sidecar in fleet.sidecars for event in sidecar.sink.of(InternalFailure)]
    await fleet.stop()


@virtual
async def test_a_key_that_is_put_back_uses_its_valid_token_without_a_call() -> None:
    fleet = KeyFleet()
    fleet.start(2)
    await settled(fleet)
    fleet.put("key-2")
    await asyncio.sleep(10)
    fleet.put("key-1")
    await asyncio.sleep(10)
    assert await fleet.tokens() == {"token-1"}
    assert fleet.partner.secrets_seen == [SECRET_1, SECRET_2]
    await fleet.stop()


@virtual
async def test_a_change_of_the_files_alone_is_detected_too() -> None:
    fleet = KeyFleet()
    (sidecar,) = fleet.start(1)
    await settled(fleet)
    sidecar.files.credentials = credentials_with("key-2")
    await asyncio.sleep(8)
    assert await sidecar.token() == "token-2"
    sidecar.files.credentials = credentials_with("key-3")
    await asyncio.sleep(8)
    assert await sidecar.token() == "token-3", "the new account's refresher reads them now"
    await fleet.stop()


@virtual
async def test_a_sidecar_that_starts_with_only_the_new_key_fetches_its_own_token() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_1}))
    fleet.start(1)
    await settled(fleet)
    (late,) = fleet.start(1, "key-2")
    with pytest.raises(CredentialsRejectedError):
        await late.token()
    assert fleet.partner.secrets_seen == [SECRET_1, SECRET_2]
    await fleet.stop()


@virtual
async def test_a_secret_that_changes_under_the_same_key_stays_in_its_namespace() -> None:
    fleet = KeyFleet()
    sidecars = fleet.start(3)
    await settled(fleet)
    before = sidecars[0].profile_id
    fleet.put("key-1", "new secret")
    await asyncio.sleep(5)
    assert fleet.partner.secrets_seen == [SECRET_1, "new secret"]
    assert await fleet.tokens() == {"token-2"}
    assert {sidecar.profile_id for sidecar in sidecars} == {before}
    await fleet.stop()


@virtual
async def test_a_secret_that_changes_under_the_key_that_is_tried_is_tried_at_once() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_1, "right"}))
    fleet.start(2)
    await settled(fleet)
    fleet.put("key-2", "wrong")
    await asyncio.sleep(10)
    fleet.put("key-2", "right")
    await asyncio.sleep(1)
    assert fleet.partner.secrets_seen == [SECRET_1, "wrong", "right"]
    assert await fleet.tokens() == {"token-2"}
    await fleet.stop()


@virtual
async def test_a_named_account_keeps_its_namespace_whatever_the_key() -> None:
    fleet = KeyFleet(named("payments"))
    sidecars = fleet.start(3)
    await settled(fleet)
    before = sidecars[0].profile_id
    fleet.put("key-2")
    await asyncio.sleep(5)
    (late,) = fleet.start(1, "key-3")
    assert await fleet.tokens() == {"token-2"}
    assert {sidecar.profile_id for sidecar in (*sidecars, late)} == {before}
    assert fleet.partner.secrets_seen[:2] == [SECRET_1, SECRET_2]
    await fleet.stop()


# -- callers ----------------------------------------------------------------------------------------------------------


@virtual
async def test_callers_that_wait_for_the_old_key_get_the_new_keys_token() -> None:
    """The new key's call is slow, and the old key's does not end. The first token is for all callers."""
    fleet = KeyFleet()
    (sidecar,) = fleet.start(1)
    await settled(fleet)
    fleet.partner.latency_s = 3
    sidecar.put("key-2")
    await fleet.partner.called(2)
    fleet.partner.latency_s = 100
    await sidecar.provider.report((await sidecar.provider.vend()).token.token_id)
    await fleet.partner.called(3)
    callers = [asyncio.ensure_future(sidecar.token()) for _ in range(20)]
    began = asyncio.get_running_loop().time()
    assert set(await asyncio.gather(*callers)) == {"token-2"}
    assert asyncio.get_running_loop().time() - began < 4
    assert fleet.partner.secrets_seen == [SECRET_1, SECRET_2, SECRET_1]
    await fleet.stop()


@virtual
async def test_callers_wait_for_the_new_key_when_the_old_one_has_no_token() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_2}))
    (sidecar,) = fleet.start(1)
    with pytest.raises(CredentialsRejectedError):
        await sidecar.token()
    fleet.partner.latency_s = 2
    sidecar.put("key-2")
    await fleet.partner.called(2)
    assert await sidecar.token() == "token-1"
    await fleet.stop()


@virtual
async def test_callers_get_an_error_in_time_when_neither_key_has_a_token() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_2}))
    (sidecar,) = fleet.start(1)
    with pytest.raises(CredentialsRejectedError):
        await sidecar.token()
    fleet.partner.latency_s = 8
    sidecar.put("key-2")
    await fleet.partner.called(2)
    began = asyncio.get_running_loop().time()
    with pytest.raises(NoTokenError):
        await sidecar.token()
    assert asyncio.get_running_loop().time() - began == pytest.approx(PROFILE.request_timeout_s, abs=0.01)
    assert not sidecar.provider.snapshot().ready
    await fleet.stop()


@virtual
async def test_a_suspect_token_is_not_vended_while_the_new_key_may_bring_a_good_one() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_1}))
    (sidecar,) = fleet.start(1)
    await settled(fleet)
    fleet.partner.good_secrets = {SECRET_2}
    await sidecar.provider.report((await sidecar.provider.vend()).token.token_id)
    await fleet.partner.called(2)
    await asyncio.sleep(1)
    assert (await sidecar.provider.vend()).suspect
    fleet.partner.latency_s = 2
    sidecar.put("key-2")
    await fleet.partner.called(3)
    vended = await sidecar.provider.vend()
    assert (vended.token.access.reveal(), vended.suspect) == ("token-2", False)
    await fleet.stop()


@virtual
async def test_a_caller_waits_for_both_keys_together_no_longer_than_for_one() -> None:
    """The old key's call takes three seconds and is rejected, and the new key's call does not end."""
    fleet = KeyFleet()
    (sidecar,) = fleet.start(1)
    await settled(fleet)
    fleet.partner.latency_s = 100
    sidecar.put("key-2")
    await fleet.partner.called(2)
    fleet.partner.latency_s, fleet.partner.good_secrets = 3, {SECRET_2}
    await sidecar.provider.report((await sidecar.provider.vend()).token.token_id)
    await fleet.partner.called(3)
    began = asyncio.get_running_loop().time()
    assert (await sidecar.provider.vend()).suspect
    assert asyncio.get_running_loop().time() - began == pytest.approx(PROFILE.request_timeout_s, abs=0.01)
    await fleet.stop()


@virtual
async def test_a_long_poll_gets_the_new_keys_token() -> None:
    fleet = KeyFleet()
    (sidecar,) = fleet.start(1)
    await settled(fleet)
    old = (await sidecar.provider.vend()).token
    waiting = asyncio.ensure_future(sidecar.provider.changed(old.token_id, 60))
    unchanged = asyncio.ensure_future(sidecar.provider.changed("", 60))
    assert await unchanged
    sidecar.put("key-2")
    began = asyncio.get_running_loop().time()
    assert await waiting
    assert asyncio.get_running_loop().time() - began < 1
    assert not sidecar.provider.holds(old)
    vended = sidecar.provider.current()
    assert vended is not None
    assert sidecar.provider.holds(vended.token)
    assert not await sidecar.provider.changed(vended.token.token_id, 5)
    await fleet.stop()


@virtual
async def test_a_report_of_the_old_keys_token_is_late_and_causes_no_call() -> None:
    fleet = KeyFleet()
    (sidecar,) = fleet.start(1)
    await settled(fleet)
    old = (await sidecar.provider.vend()).token
    sidecar.put("key-2")
    await asyncio.sleep(1)
    operations = len(sidecar.wires[-1].operations)
    report = await sidecar.provider.report(old.token_id)
    assert (report.verdict, report.known) == ("already-replaced", True)
    assert len(sidecar.wires[-1].operations) == operations
    await fleet.stop()


@virtual
async def test_of_two_suspect_tokens_the_old_one_stays_in_use() -> None:
    fleet = KeyFleet()
    mine, theirs = fleet.start(1, "key-1")[0], fleet.start(1, "key-2")[0]
    await settled(fleet)
    mine_was = mine.profile_id
    fleet.partner.good_secrets = set()
    for sidecar in (mine, theirs):
        await sidecar.provider.report((await sidecar.provider.vend()).token.token_id)
        await asyncio.sleep(1)
    mine.put("key-2")
    await asyncio.sleep(5)
    vended = await mine.provider.vend()
    assert (vended.suspect, mine.profile_id) == (True, mine_was)
    await fleet.stop()


@virtual
async def test_a_suspect_token_of_the_new_key_is_better_than_none() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_2}))
    mine, theirs = fleet.start(1, "key-1")[0], fleet.start(1, "key-2")[0]
    token = await theirs.token()
    fleet.partner.good_secrets = set()
    await theirs.provider.report((await theirs.provider.vend()).token.token_id)
    await asyncio.sleep(1)
    mine.put("key-2")
    await asyncio.sleep(5)
    vended = await mine.provider.vend()
    assert (vended.token.access.reveal(), vended.suspect, mine.profile_id) == (token, True, theirs.profile_id)
    await fleet.stop()


# -- the process ------------------------------------------------------------------------------------------------------


@virtual
async def test_files_that_cannot_be_read_during_a_trial_are_reported_and_change_nothing() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_1}))
    (sidecar,) = fleet.start(1)
    await settled(fleet)
    sidecar.put("key-2")
    await asyncio.sleep(10)
    sidecar.files.readable = False
    await asyncio.sleep(10)
    assert len(sidecar.sink.of(CredentialsUnreadable)) == 1
    assert not sidecar.provider.snapshot().credentials_valid
    assert await sidecar.token() == "token-1"
    await fleet.stop()


@virtual
async def test_an_unused_profile_does_not_try_the_key_until_the_next_request() -> None:
    fleet = KeyFleet(replace(PROFILE, idle_s=60))
    (sidecar,) = fleet.start(1)
    await settled(fleet)
    await asyncio.sleep(120)
    sidecar.put("key-2")
    await asyncio.sleep(600)
    assert fleet.partner.count == 1
    await sidecar.token()
    await asyncio.sleep(10)
    assert await sidecar.token() == "token-2"
    await fleet.stop()


@virtual
async def test_a_stop_during_a_trial_ends_everything() -> None:
    fleet = KeyFleet(partner=FakePartner(latency_s=8))
    (sidecar,) = fleet.start(1)
    await asyncio.sleep(10)
    sidecar.put("key-2")
    await fleet.partner.called(2)
    began = asyncio.get_running_loop().time()
    await sidecar.stop()
    assert asyncio.get_running_loop().time() - began < 2
    assert asyncio.all_tasks() == {asyncio.current_task()}


@virtual
async def test_a_cancelled_process_leaves_no_task_behind() -> None:
    fleet = KeyFleet(partner=FakePartner(good_secrets={SECRET_1}))
    (sidecar,) = fleet.start(1)
    await settled(fleet)
    sidecar.put("key-2")
    await asyncio.sleep(5)
    sidecar.task.cancel()
    await asyncio.gather(sidecar.task, return_exceptions=True)
    await sidecar.provider.close()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# -- one account under two names --------------------------------------------------------------------------------------

TWO_NAMES = [replace(PROFILE, name=name) for name in ("payments", "refunds")]


@virtual
async def test_one_account_under_two_names_has_one_token() -> None:
    fleet = KeyFleet()
    fleet.process(TWO_NAMES)
    fleet.process(TWO_NAMES[:1])
    fleet.process(TWO_NAMES[1:])
    for rotation in (1, 2, 3):
        await fleet.partner.called(rotation)
        await asyncio.sleep(2)
        assert await fleet.tokens() == {f"token-{rotation}"}
    assert [sidecar.provider.profile.name for sidecar in fleet.sidecars] == [
        "payments",
        "refunds",
        "payments",
        "refunds",
    ]
    await fleet.stop()


@virtual
async def test_without_the_store_two_names_in_one_process_spend_one_share() -> None:
    """A fleet of five with ten calls a minute: two for each process, whatever the names of its profiles."""
    fleet = KeyFleet(partner=FakePartner(always=None))
    names = [replace(profile, fleet_size=5, lifetime_s=30, refresh_at=0.5, margin_s=2) for profile in TWO_NAMES]
    names = [replace(profile, budget=replace(profile.budget, calls=10)) for profile in names]
    fleet.process(names)
    fleet.cut()
    await asyncio.sleep(59)
    assert fleet.partner.count == 2
    await fleet.stop()
