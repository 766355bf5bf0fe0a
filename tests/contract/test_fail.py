"""What a failure leaves behind."""

from __future__ import annotations

from dataclasses import replace

from sidecar.core.errors import FailureKind, PartnerDetail
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import LearnedLifetime, ReplicaMemory, State
from tests.contract.nearness import near
from tests.contract.worlds import (
    LIMIT_S,
    World,
    a_failure,
    a_token,
    an_ask,
    failed,
    failure_counts_of,
    fetched,
    granted,
)

DETAIL = PartnerDetail(status=503, error_code="E-1", error_message="später 🙂 \x7f", session_id="s-1")


async def test_a_failure_ends_the_lease_and_pauses_everyone(shared: SharedState) -> None:
    nonce, grant = await granted(shared)
    state = await shared.fail(a_failure(nonce, grant.fence, FailureKind.SERVER_ERROR, 20, "credentials-1", DETAIL))
    assert state.lease_left_s == 0
    assert state.pause is not None
    assert (state.pause.kind, state.pause.left_s, state.pause.consecutive_failures) == (FailureKind.SERVER_ERROR, 20, 1)
    assert state.pause.detail == DETAIL
    seen = await shared.peek(0)
    assert seen.pause is not None
    assert seen.pause.detail == DETAIL


async def test_a_failure_without_a_kind_ends_the_lease_and_pauses_nobody(shared: SharedState) -> None:
    nonce, grant = await granted(shared)
    state = await shared.fail(a_failure(nonce, grant.fence, None, 0, "credentials-1", None))
    assert (state.lease_left_s, state.pause) == (0, None)
    assert len(state.grants) == 1, "nothing is refunded"
    await granted(shared)


async def test_a_repeated_failure_changes_nothing(world: World, shared: SharedState) -> None:
    nonce, grant = await granted(shared)
    await shared.fail(a_failure(nonce, grant.fence, FailureKind.TIMEOUT, 20, "credentials-1", None))
    world.advance(5)
    again = await shared.fail(a_failure(nonce, grant.fence, FailureKind.TIMEOUT, 20, "credentials-1", None))
    assert again.pause is not None
    assert again.pause.consecutive_failures == 1
    assert again.pause.left_s == near(15)


async def test_strikes_count_each_kind_until_a_token_comes(world: World, shared: SharedState) -> None:
    for failures in (1, 2, 3):
        state = await failed(shared, FailureKind.TIMEOUT, 10)
        assert state.pause is not None
        assert state.pause.consecutive_failures == failures
        world.advance(30)
    over = (await shared.peek(0)).pause
    assert over is not None
    assert (over.left_s, over.consecutive_failures) == (0, 3)
    other = (await failed(shared, FailureKind.CONNECT, 10)).pause
    assert other is not None
    assert (other.kind, other.consecutive_failures) == (FailureKind.CONNECT, 1)
    world.advance(30)
    state = await failed(shared, FailureKind.TIMEOUT, 10)
    assert state.pause is not None
    assert state.pause.consecutive_failures == 4
    assert failure_counts_of(state) == {"timeout": 4, "connect": 1}


async def test_a_running_pause_is_never_shortened(world: World, shared: SharedState) -> None:
    slow_nonce, slow = await granted(shared)
    world.advance(LIMIT_S)
    await failed(shared, FailureKind.THROTTLED, 100)
    shorter = await shared.fail(a_failure(slow_nonce, slow.fence, FailureKind.TIMEOUT, 1, "credentials-1", None))
    assert shorter.pause is not None
    assert shorter.pause.kind is FailureKind.THROTTLED
    assert shorter.pause.left_s == near(100)
    same_kind = await shared.fail(a_failure("r/another", slow.fence, FailureKind.THROTTLED, 1, "credentials-1", None))
    assert same_kind.pause is not None
    assert same_kind.pause.left_s == near(100)
    assert same_kind.pause.consecutive_failures == 2


async def test_rejected_credentials_have_failures_of_their_own(world: World, shared: SharedState) -> None:
    await failed(shared, FailureKind.UNAUTHORIZED, 10, credentials_id="credentials-1")
    world.advance(10)
    state = await failed(shared, FailureKind.UNAUTHORIZED, 20, credentials_id="credentials-1")
    assert (
        state.credential_blocks["credentials-1"].left_s,
        state.credential_blocks["credentials-1"].consecutive_failures,
    ) == (20, 2)
    state = await failed(shared, FailureKind.UNAUTHORIZED, 10, credentials_id="credentials-2")
    assert state.credential_blocks["credentials-2"].consecutive_failures == 1
    assert state.pause is None


async def test_of_refused_credentials_the_four_that_end_last_are_kept(shared: SharedState) -> None:
    for number in (3, 1, 2, 5, 4):
        await shared.fail(
            a_failure(f"r/{number}-x", 1, FailureKind.UNAUTHORIZED, 100 * number, f"credentials-{number}", None)
        )
    assert set((await shared.peek(0)).credential_blocks) == {
        "credentials-2",
        "credentials-3",
        "credentials-4",
        "credentials-5",
    }


async def test_a_failure_older_than_the_stored_token_is_history_unless_it_is_a_429(
    world: World, shared: SharedState
) -> None:
    slow_nonce, slow = await granted(shared)
    world.advance(LIMIT_S)
    await fetched(shared)
    ignored = await shared.fail(a_failure(slow_nonce, slow.fence, FailureKind.SERVER_ERROR, 20, "credentials-1", None))
    assert ignored.pause is None
    assert ignored.token is not None, "the late one learns what is there"
    refused = await shared.fail(a_failure("r/late-1", slow.fence, FailureKind.UNAUTHORIZED, 20, "credentials-1", None))
    assert refused.credential_blocks == {}
    taken = await shared.fail(a_failure("r/late-2", slow.fence, FailureKind.THROTTLED, 20, "credentials-1", None))
    assert taken.pause is not None


async def test_a_failure_within_its_lease_counts_even_beside_a_newer_token(shared: SharedState) -> None:
    nonce, grant = await granted(shared)
    await shared.commit("elsewhere/1", a_token(grant.fence + 5), 0, LearnedLifetime())
    state = await shared.fail(a_failure(nonce, grant.fence, FailureKind.TIMEOUT, 20, "credentials-1", None))
    assert state.pause is not None


async def test_the_answer_shows_the_newer_token_to_who_does_not_know_it(shared: SharedState) -> None:
    """Offered by a replica that had been cut off, while the call was out."""
    nonce, grant = await granted(shared)
    await shared.seed(ReplicaMemory(state=State(), token=a_token(grant.fence - 1), token_age_s=0))
    failed = a_failure(nonce, grant.fence, FailureKind.TIMEOUT, 5, "credentials-1")
    state = await shared.fail(failed)
    assert state.token is not None
    assert state.token.fence == grant.fence - 1
    assert (await shared.fail(replace(failed, known=grant.fence - 1))).token is None


async def test_a_failure_after_a_lost_lease_leaves_the_others_lease(world: World, shared: SharedState) -> None:
    slow_nonce, slow = await granted(shared)
    world.advance(LIMIT_S)
    await granted(shared, an_ask("second/1"))
    state = await shared.fail(a_failure(slow_nonce, slow.fence, FailureKind.TIMEOUT, 5, "credentials-1", None))
    assert state.lease_owner == "second"
    assert state.pause is not None


async def test_a_spent_refresh_token_stays_dropped(shared: SharedState) -> None:
    token = await fetched(shared)
    nonce, grant = await granted(shared, an_ask(known=token.fence))
    state = await shared.fail(a_failure(nonce, grant.fence, None, 0, "credentials-1", None, drop_refresh=token.fence))
    assert state.refresh_dropped == token.fence
    nonce, grant = await granted(shared, an_ask(known=token.fence))
    state = await shared.fail(a_failure(nonce, grant.fence, FailureKind.TIMEOUT, 1, "credentials-1", None))
    assert state.refresh_dropped == token.fence
    await shared.commit(nonce, a_token(grant.fence), 0, LearnedLifetime())
    assert (await shared.peek(0)).refresh_dropped == token.fence
