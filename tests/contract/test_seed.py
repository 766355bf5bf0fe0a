"""What a replica's memory may do to the store: raise it, never lower it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import (
    Confirmed,
    CoolingDown,
    FailureCount,
    Grant,
    Held,
    LearnedLifetime,
    OverBudget,
    Pause,
    ReplicaMemory,
    Reported,
    State,
)
from tests.contract.nearness import near
from tests.contract.worlds import (
    LIMIT_S,
    World,
    a_token,
    an_ask,
    confirmed_id,
    failed,
    fetched,
    grant_ages_s,
    granted,
    reported_id,
)


def remembering(state: State, fence: int = 0, text: str = "", age_s: float = 0) -> ReplicaMemory:
    return ReplicaMemory(state=state, token=a_token(fence, text) if fence else None, token_age_s=age_s)


async def test_an_empty_store_takes_over_all_that_is_remembered(shared: SharedState) -> None:
    throttled = Pause(kind=FailureKind.THROTTLED, left_s=50, consecutive_failures=2, fence=42)
    refused = Pause(kind=FailureKind.UNAUTHORIZED, left_s=70, consecutive_failures=3, fence=42)
    token = a_token(41)
    before = State(
        epoch="before", fence=42, pause=throttled,
        failure_counts={"throttled": FailureCount(2, 42), "timeout": FailureCount(5, 41)},
        credential_blocks={"credentials-2": refused}, proven={"credentials-0": 30, "credentials-1": 41},
        reported=Reported(token.token_id, 42, 30), refresh_dropped=40, learned=LearnedLifetime(learned_s=500, fence=30),
        grants=(Grant(20, 55), Grant(30, 20), Grant(42, 10, caller_requested=True)),
    )  # fmt: skip
    await shared.seed(ReplicaMemory(state=before, token=token, token_age_s=100))
    state = await shared.peek(0)
    assert state.token == token
    assert (state.fence, state.refresh_dropped, state.proven) == (42, 40, before.proven)
    assert (state.reported, state.learned, state.failure_counts) == (
        before.reported,
        before.learned,
        before.failure_counts,
    )
    assert state.pause is not None
    assert (state.pause.consecutive_failures, state.pause.fence) == (2, 42)
    assert state.pause.left_s == near(50)
    assert (
        state.credential_blocks["credentials-2"].consecutive_failures,
        state.credential_blocks["credentials-2"].fence,
    ) == (3, 42)
    assert state.credential_blocks["credentials-2"].left_s == near(70)
    assert [grant.fence for grant in state.grants] == [20, 30, 42]
    assert grant_ages_s(state) == near((55, 20, 10))
    assert grant_ages_s(state, caller_requested=True) == near((10,))


async def test_seeding_a_lost_store_starts_its_quarantine(world: World, shared: SharedState) -> None:
    await shared.seed(remembering(State(epoch="before", fence=1)))
    assert isinstance((await shared.claim(an_ask())).outcome, Held)
    world.advance(LIMIT_S)
    await granted(shared)


async def test_seeding_without_an_epoch_is_no_loss(shared: SharedState) -> None:
    await shared.seed(remembering(State()))
    await granted(shared)


async def test_what_is_stored_is_never_lowered(shared: SharedState) -> None:
    token = await fetched(shared, learned=LearnedLifetime(learned_s=300))
    await failed(shared, FailureKind.THROTTLED, 90, known=token.fence)
    now = await shared.peek(0)
    shorter = Pause(kind=FailureKind.TIMEOUT, left_s=10, consecutive_failures=9)
    older = State(
        epoch=now.epoch,
        fence=1,
        pause=shorter,
        learned=LearnedLifetime(learned_s=100, fence=1),
        proven={"credentials-1": 1},
    )
    await shared.seed(remembering(older, fence=token.fence - 1, text="older"))
    await shared.seed(remembering(replace(older, fence=now.fence)))
    after = await shared.peek(0)
    assert (after.token_id, after.fence, after.learned) == (token.token_id, now.fence, now.learned)
    assert after.proven == now.proven
    assert [grant.fence for grant in after.grants] == [grant.fence for grant in now.grants]
    assert after.pause is not None
    assert after.pause.kind is FailureKind.THROTTLED
    assert after.pause.left_s == near(90)


async def test_a_longer_pause_is_taken_while_no_newer_token_is_there(shared: SharedState) -> None:
    first = await failed(shared, FailureKind.TIMEOUT, 10)
    longer = Pause(kind=FailureKind.THROTTLED, left_s=60, consecutive_failures=1)
    taken = await shared.seed(remembering(State(epoch=first.epoch, fence=first.fence, pause=longer)))
    assert taken.pause is not None
    assert taken.pause.kind is FailureKind.THROTTLED


async def test_a_pause_from_before_the_stored_token_is_history(shared: SharedState) -> None:
    token = await fetched(shared)
    epoch = (await shared.peek(0)).epoch
    pause = Pause(kind=FailureKind.TIMEOUT, left_s=60, consecutive_failures=1, fence=token.fence - 1)
    refused = {"credentials-1": replace(pause, kind=FailureKind.UNAUTHORIZED), "credentials-2": pause}
    counts = {"timeout": FailureCount(3, token.fence - 1)}
    late = State(epoch=epoch, fence=token.fence + 4, pause=pause, credential_blocks=refused, failure_counts=counts)
    after = await shared.seed(remembering(late))
    assert (after.pause, after.failure_counts) == (None, {})
    assert set(after.credential_blocks) == {"credentials-2"}, "it has obtained no token since"


async def test_a_cool_down_outlives_a_newer_token(shared: SharedState) -> None:
    """Who was answered 429 waits, also when a fence by a clock that was set makes the stored token look newer."""
    token = await fetched(shared)
    epoch = (await shared.peek(0)).epoch
    pause = Pause(kind=FailureKind.THROTTLED, left_s=60, consecutive_failures=1, fence=token.fence - 1)
    away = State(
        epoch=epoch, fence=pause.fence, pause=pause, failure_counts={"throttled": FailureCount(1, pause.fence)}
    )
    after = await shared.seed(remembering(away))
    assert after.pause is not None
    assert (after.pause.kind, after.failure_counts) == (FailureKind.THROTTLED, {})
    assert after.pause.left_s == near(60)
    assert isinstance((await shared.claim(an_ask(known=token.fence))).outcome, CoolingDown)


async def test_the_holders_token_ends_its_lease_when_it_is_seeded(shared: SharedState) -> None:
    _, grant = await granted(shared)
    epoch = (await shared.peek(0)).epoch
    after = await shared.seed(remembering(State(epoch=epoch, fence=grant.fence), fence=grant.fence))
    assert after.lease_left_s == 0
    assert after.token_fence == grant.fence


async def test_a_seeded_older_token_leaves_the_lease(shared: SharedState) -> None:
    _, grant = await granted(shared)
    epoch = (await shared.peek(0)).epoch
    after = await shared.seed(remembering(State(epoch=epoch, fence=grant.fence), fence=grant.fence - 1))
    assert after.lease_left_s > 0


async def test_a_cool_down_that_is_seeded_during_a_call_outlives_it(shared: SharedState) -> None:
    """Its own fence may be any: it was drawn by a replica that was cut off."""
    nonce, grant = await granted(shared)
    pause = Pause(kind=FailureKind.THROTTLED, left_s=60, consecutive_failures=1, fence=1)
    await shared.seed(remembering(State(fence=1, pause=pause)))
    after = (await shared.commit(nonce, a_token(grant.fence), 0, LearnedLifetime())).state
    assert after.pause is not None
    assert after.pause.left_s == near(60)


async def test_a_remembered_report_of_another_token_is_passed_over(shared: SharedState) -> None:
    token = await fetched(shared)
    epoch = (await shared.peek(0)).epoch
    other = Reported("another", token.fence, 1)
    assert (await shared.seed(remembering(State(epoch=epoch, fence=token.fence, reported=other)))).reported is None


async def test_a_remembered_report_keeps_the_first_ones_age(shared: SharedState) -> None:
    token = await fetched(shared)
    state = (await shared.reject(token.token_id, 5)).state
    after = await shared.seed(remembering(replace(state, reported=Reported(token.token_id, token.fence - 1, 77))))
    assert after.reported == state.reported


async def test_of_two_reports_of_one_token_the_later_fence_counts(shared: SharedState) -> None:
    """A call that was granted between the two confirms nothing."""
    token = await fetched(shared)
    state = (await shared.reject(token.token_id, 5)).state
    noted = replace(state, reported=Reported(token.token_id, token.fence + 2, 77))
    assert (await shared.seed(remembering(noted))).reported == Reported(token.token_id, token.fence + 2, 5)


async def test_a_report_holds_when_the_same_token_is_seeded_under_a_newer_fence(shared: SharedState) -> None:
    token = await fetched(shared, "the-same")
    state = (await shared.reject(token.token_id, 0)).state
    after = await shared.seed(remembering(state, fence=token.fence + 1, text="the-same"))
    assert (after.token_fence, reported_id(after)) == (token.fence + 1, token.token_id)


async def test_a_report_ends_when_another_token_is_seeded(shared: SharedState) -> None:
    token = await fetched(shared)
    state = (await shared.reject(token.token_id, 0)).state
    after = await shared.seed(remembering(state, fence=token.fence + 1, text="another"))
    assert after.reported is None


@pytest.mark.parametrize(("later", "reported", "confirmed"), [(-1, True, False), (0, True, False), (1, False, True)])
async def test_of_a_report_and_a_confirmation_the_later_one_counts(
    shared: SharedState, later: int, reported: bool, confirmed: bool
) -> None:
    token = await fetched(shared)
    state = (await shared.reject(token.token_id, 0)).state
    assert state.reported is not None
    offered = replace(state, reported=None, confirmed=Confirmed(token.token_id, state.reported.fence + later))
    after = await shared.seed(remembering(offered))
    assert (reported_id(after) != "", confirmed_id(after) != "") == (reported, confirmed)


@pytest.mark.parametrize(("later", "reported"), [(-1, False), (0, True), (1, True)])
async def test_a_late_report_ends_no_later_confirmation(shared: SharedState, later: int, reported: bool) -> None:
    """A replica that was cut off noted it; the partner has vouched for the token since, or before."""
    first = await fetched(shared, "the-same")
    await shared.reject(first.token_id, 0)
    again = await fetched(shared, "the-same", known=first.fence)
    noted = State(reported=Reported(again.token_id, again.fence + later, 5))
    after = await shared.seed(remembering(noted))
    assert (reported_id(after) != "", confirmed_id(after) != "") == (reported, not reported)


async def test_ages_are_taken_over_only_when_the_stores_clock_was_set(shared: SharedState) -> None:
    token = await fetched(shared)
    stored = await shared.peek(token.fence)
    younger = replace(token, issued_at=token.issued_at + 100)
    offered = ReplicaMemory(state=State(grants=(Grant(token.fence, 0),)), token=younger, token_age_s=5)
    await shared.seed(offered)
    assert (await shared.peek(0)).token == token
    await shared.seed(replace(offered, clock_stepped=True))
    after = await shared.peek(0)
    assert after.token == younger
    assert [grant.fence for grant in after.grants] == [grant.fence for grant in stored.grants]


async def test_a_permit_is_as_young_as_any_replica_says_once_the_clock_was_set(
    world: World, shared: SharedState
) -> None:
    token = await fetched(shared)
    world.advance(30)
    said = State(grants=(Grant(token.fence, 10.0),))
    for clock_stepped, age_s in ((False, 30), (True, 10)):
        remembered = ReplicaMemory(state=said, token=None, token_age_s=0, clock_stepped=clock_stepped)
        assert grant_ages_s(await shared.seed(remembered)) == near((age_s,))


async def test_a_clock_that_was_set_brings_no_older_token_back(shared: SharedState) -> None:
    token = await fetched(shared)
    newer = await fetched(shared, known=token.fence)
    await shared.seed(ReplicaMemory(state=State(), token=token, token_age_s=1, clock_stepped=True))
    assert (await shared.peek(0)).token_id == newer.token_id


async def test_permits_beyond_the_window_are_left_out(shared: SharedState) -> None:
    after = await shared.seed(remembering(State(grants=(Grant(2, 100), Grant(4, 61), Grant(6, 30)))))
    assert grant_ages_s(after) == near((30,))


async def test_permits_are_merged_one_by_one(world: World, shared: SharedState) -> None:
    """However long the list of a delayed offer is, the permit that was granted since is not forgotten."""
    for _ in range(2):
        await failed(shared, FailureKind.TIMEOUT, 0)
        world.advance(1)
    stored = await shared.peek(0)
    late = State(grants=(Grant(2, 40), Grant(4, 30), Grant(6, 20, caller_requested=True), stored.grants[0]))
    after = await shared.seed(remembering(late))
    assert [grant.fence for grant in after.grants] == [2, 4, 6, *(grant.fence for grant in stored.grants)]
    assert isinstance((await shared.claim(an_ask())).outcome, OverBudget)


async def test_the_later_lesson_counts_whichever_comes_last(shared: SharedState) -> None:
    """A lifetime that grew back to the whole is not the same as one that was never learned."""
    token = await fetched(shared, learned=LearnedLifetime(learned_s=300))
    regrown = await fetched(shared, known=token.fence, learned=LearnedLifetime())
    old = State(learned=LearnedLifetime(learned_s=300, fence=token.fence))
    assert (await shared.seed(remembering(old))).learned == LearnedLifetime(fence=regrown.fence)
    new = State(learned=LearnedLifetime(learned_s=200, fence=regrown.fence + 2))
    assert (await shared.seed(remembering(new))).learned == new.learned
    assert (await shared.seed(remembering(old))).learned == new.learned


async def test_who_obtained_a_token_is_known_to_both_sides_afterwards(shared: SharedState) -> None:
    token = await fetched(shared)
    proven = {
        "credentials-1": token.fence - 10,
        "credentials-2": token.fence + 1,
        **{f"old-{number}": number for number in range(4)},
    }
    after = await shared.seed(remembering(State(proven=proven)))
    assert after.proven == {"credentials-1": token.fence, "credentials-2": token.fence + 1, "old-2": 2, "old-3": 3}
