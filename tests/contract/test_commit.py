"""What a success leaves behind."""

from __future__ import annotations

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import LearnedLifetime
from tests.contract.nearness import near
from tests.contract.worlds import (
    LIMIT_S,
    World,
    a_failure,
    a_token,
    an_ask,
    confirmed_id,
    failed,
    failure_counts_of,
    fetched,
    granted,
    reported_id,
)


async def test_a_committed_token_comes_back_whole(shared: SharedState) -> None:
    nonce, grant = await granted(shared)
    token = a_token(grant.fence)
    committed = await shared.commit(nonce, token, 7, LearnedLifetime(learned_s=300, first_report_age_s=290.5))
    assert committed.stored
    assert committed.state.token is None, "who commits knows it already"
    state = await shared.peek(0)
    assert state.token == token, "its instant of issue included, however late it came"
    assert (state.token_fence, state.token_id) == (token.fence, token.token_id)
    assert state.learned == LearnedLifetime(learned_s=300, first_report_age_s=290.5, fence=grant.fence)
    assert state.lease_owner == ""
    assert state.lease_left_s == 0


async def test_a_token_asked_for_before_a_pause_does_not_end_it(world: World, shared: SharedState) -> None:
    """The first holder was stopped beyond its lease; the second was told 429; then the first one's token comes."""
    nonce, grant = await granted(shared)
    world.advance(LIMIT_S)
    await failed(shared, FailureKind.THROTTLED, 50)
    state = (await shared.commit(nonce, a_token(grant.fence), 20, LearnedLifetime())).state
    assert state.token_fence == grant.fence
    assert state.pause is not None
    assert state.pause.left_s == near(50)
    assert failure_counts_of(state) == {"throttled": 1}
    world.advance(50)
    newer = await fetched(shared, known=grant.fence)
    assert (await shared.peek(newer.fence)).failure_counts == {}


@pytest.mark.parametrize("ahead", [0, 1_000_000])
async def test_a_cool_down_told_during_a_call_outlives_it_wherever_fences_stand(
    shared: SharedState, ahead: int
) -> None:
    """Fences run ahead of a clock that was set back: no instant may be compared with them."""
    now_ms = round((await shared.peek(0)).now * 1000)
    nonce, grant = await granted(shared, an_ask(fence=now_ms + ahead))
    await shared.fail(a_failure("another/1", 1, FailureKind.THROTTLED, 50, "credentials-2"))
    state = (await shared.commit(nonce, a_token(grant.fence), 0, LearnedLifetime())).state
    assert state.pause is not None
    assert state.pause.left_s == near(50)


async def test_a_report_during_the_call_that_brings_the_same_token_stands(shared: SharedState) -> None:
    """The partner handed the valid token out again, then revoked it; an app reported it before the commit came."""
    first = await fetched(shared, "the-same")
    nonce, grant = await granted(shared, an_ask(known=first.fence))
    await shared.reject(first.token_id, 5)
    state = (await shared.commit(nonce, a_token(grant.fence, "the-same"), 0, LearnedLifetime())).state
    assert (reported_id(state), state.confirmed) == (first.token_id, None)
    later = await fetched(shared, "the-same", known=grant.fence)
    assert confirmed_id(await shared.peek(later.fence)) == first.token_id


async def test_who_knows_the_token_gets_its_name_only(shared: SharedState) -> None:
    token = await fetched(shared)
    state = await shared.peek(token.fence)
    assert (state.token, state.token_fence, state.token_id) == (None, token.fence, token.token_id)
    assert (await shared.peek(token.fence - 1)).token is not None


async def test_a_repeated_commit_gets_the_same_answer_and_changes_nothing(world: World, shared: SharedState) -> None:
    nonce, grant = await granted(shared)
    token = a_token(grant.fence)
    await shared.commit(nonce, token, 0, LearnedLifetime())
    await shared.reject(token.token_id, 0)
    world.advance(10)
    again = await shared.commit(nonce, token, 0, LearnedLifetime())
    assert again.stored
    assert reported_id(again.state) == token.token_id


async def test_an_older_fence_never_replaces_a_newer_one(world: World, shared: SharedState) -> None:
    slow_nonce, slow = await granted(shared)
    world.advance(LIMIT_S)
    newer = await fetched(shared)
    late = await shared.commit(slow_nonce, a_token(slow.fence), 0, LearnedLifetime())
    assert not late.stored
    assert late.state.token == newer


async def test_two_tokens_of_one_fence_do_not_replace_each_other(shared: SharedState) -> None:
    first = await fetched(shared)
    second = await shared.commit("r/other", a_token(first.fence, "another"), 0, LearnedLifetime())
    assert not second.stored
    assert second.state.token_id == first.token_id


async def test_a_late_commit_is_stored_while_no_newer_is_there_and_leaves_the_others_lease(
    world: World, shared: SharedState
) -> None:
    slow_nonce, slow = await granted(shared)
    world.advance(LIMIT_S)
    await granted(shared, an_ask("second/1"))
    late = await shared.commit(slow_nonce, a_token(slow.fence), 0, LearnedLifetime())
    assert late.stored
    assert late.state.lease_owner == "second"


async def test_an_older_commit_ends_its_own_lease(shared: SharedState) -> None:
    nonce, grant = await granted(shared)
    await shared.commit("elsewhere/1", a_token(grant.fence + 5), 0, LearnedLifetime())
    late = await shared.commit(nonce, a_token(grant.fence), 0, LearnedLifetime())
    assert not late.stored
    assert late.state.lease_left_s == 0


async def test_a_stored_token_ends_the_pause_and_its_strikes(world: World, shared: SharedState) -> None:
    await failed(shared, FailureKind.TIMEOUT, 5)
    world.advance(5)
    await fetched(shared)
    assert (await shared.peek(0)).pause is None


async def test_a_stored_token_ends_the_refusal_of_its_credentials_only(world: World, shared: SharedState) -> None:
    await failed(shared, FailureKind.UNAUTHORIZED, 60, credentials_id="credentials-1")
    await failed(shared, FailureKind.UNAUTHORIZED, 60, credentials_id="credentials-2")
    world.advance(60)
    await fetched(shared, credentials_id="credentials-1")
    assert set((await shared.peek(0)).credential_blocks) == {"credentials-2"}


async def test_the_last_four_proven_credentials_are_kept_newest_last(world: World, shared: SharedState) -> None:
    known = 0
    for credentials_id in ("a", "b", "c", "a", "d", "e"):
        known = (await fetched(shared, known=known, credentials_id=credentials_id)).fence
        world.advance(60)
    proven = (await shared.peek(0)).proven
    assert sorted(proven, key=lambda credentials_id: proven[credentials_id]) == ["c", "a", "d", "e"]


async def test_a_commit_into_a_store_that_lost_the_gate_raises_its_fence(world: World, shared: SharedState) -> None:
    nonce, grant = await granted(shared)
    world.lose_data()
    far_ahead = grant.fence + 1_000_000
    assert (await shared.commit(nonce, a_token(far_ahead), 0, LearnedLifetime())).stored
    assert (await shared.peek(0)).fence == far_ahead


async def test_a_fence_the_store_forgot_ends_nothing(shared: SharedState) -> None:
    """A failover lost the grant, and with it what came before and after it."""
    known = (await fetched(shared, "the-same")).fence
    nonce, grant = await granted(shared, an_ask(known=known))
    await shared.fail(a_failure(nonce, grant.fence, FailureKind.THROTTLED, 50, "credentials-1"))
    reported = (await shared.reject(a_token(1, "the-same").token_id, 5)).state.reported
    state = (await shared.commit("lost/1", a_token(grant.fence + 2, "the-same"), 0, LearnedLifetime())).state
    assert state.token_fence == grant.fence + 2
    assert state.pause is not None
    assert (failure_counts_of(state), state.reported, state.confirmed) == ({"throttled": 1}, reported, None)
