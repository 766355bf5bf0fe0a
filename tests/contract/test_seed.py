"""What a replica's memory may do to the store: raise it, never lower it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.failures import FailureKind
from sidecar.core.ports import SharedState
from sidecar.core.shared import CoolingDown, Held, Lesson, Pause, Remembered, State
from tests.contract.worlds import (
    LIMIT_S,
    NEAR_S,
    World,
    a_token,
    an_ask,
    failed,
    fetched,
    granted,
    same_but_time,
)


def remembering(state: State, fence: int = 0, text: str = "", age_s: float = 0) -> Remembered:
    return Remembered(state=state, token=a_token(fence, text) if fence else None, token_age_s=age_s)


async def test_an_empty_store_takes_over_all_that_is_remembered(shared: SharedState) -> None:
    throttled = Pause(kind=FailureKind.THROTTLED, left_s=50, strikes=2)
    refused = Pause(kind=FailureKind.REJECTED, left_s=70, strikes=3)
    token = a_token(41)
    before = State(
        epoch="before", fence=42, pause=throttled, strikes={"throttled": 2, "timeout": 5},
        refused={"pair-2": refused}, proven=("pair-0", "pair-1"),
        rejected_id=token.token_id, rejected_age_s=30, refresh_dropped=40, lesson=Lesson(learned_s=500),
        grant_ages_s=(55, 20, 10), demand_ages_s=(10,),
    )  # fmt: skip
    await shared.seed(Remembered(state=before, token=token, token_age_s=100))
    state = await shared.peek(0)
    assert same_but_time(state.token) == token
    assert state.token_issued_at == pytest.approx(state.now - 100, abs=NEAR_S)
    assert (state.fence, state.refresh_dropped, state.proven) == (42, 40, ("pair-0", "pair-1"))
    assert (state.rejected_id, state.rejected_age_s) == (token.token_id, 30)
    assert state.lesson == before.lesson
    assert state.pause is not None
    assert state.pause.strikes == 2
    assert state.strikes == {"throttled": 2, "timeout": 5}
    assert state.pause.left_s == pytest.approx(50, abs=NEAR_S)
    assert state.refused["pair-2"].strikes == 3
    assert state.refused["pair-2"].left_s == pytest.approx(70, abs=NEAR_S)
    assert state.grant_ages_s == pytest.approx((55, 20, 10), abs=NEAR_S)
    assert state.demand_ages_s == pytest.approx((10,), abs=NEAR_S)


async def test_seeding_a_lost_store_starts_its_quarantine(world: World, shared: SharedState) -> None:
    await shared.seed(remembering(State(epoch="before", fence=1)))
    assert isinstance((await shared.claim(an_ask())).outcome, Held)
    world.advance(LIMIT_S)
    await granted(shared)


async def test_seeding_without_an_epoch_is_no_loss(shared: SharedState) -> None:
    await shared.seed(remembering(State()))
    await granted(shared)


async def test_what_is_stored_is_never_lowered(shared: SharedState) -> None:
    token = await fetched(shared, lesson=Lesson(learned_s=300))
    await failed(shared, FailureKind.THROTTLED, 90, known=token.fence)
    now = await shared.peek(0)
    shorter = Pause(kind=FailureKind.TIMEOUT, left_s=10, strikes=9)
    older = State(epoch=now.epoch, fence=1, pause=shorter, lesson=Lesson(learned_s=100), proven=("pair-9",))
    await shared.seed(remembering(older, fence=token.fence - 1, text="older"))
    await shared.seed(remembering(replace(older, fence=now.fence)))
    after = await shared.peek(0)
    assert (after.token_id, after.fence, after.lesson) == (token.token_id, now.fence, now.lesson)
    assert after.proven == now.proven
    assert after.grant_ages_s == pytest.approx(now.grant_ages_s, abs=NEAR_S)
    assert after.pause is not None
    assert after.pause.kind is FailureKind.THROTTLED
    assert after.pause.left_s == pytest.approx(90, abs=NEAR_S)


async def test_a_longer_pause_is_taken_while_no_newer_token_is_there(shared: SharedState) -> None:
    first = await failed(shared, FailureKind.TIMEOUT, 10)
    longer = Pause(kind=FailureKind.THROTTLED, left_s=60, strikes=1)
    taken = await shared.seed(remembering(State(epoch=first.epoch, fence=first.fence, pause=longer)))
    assert taken.pause is not None
    assert taken.pause.kind is FailureKind.THROTTLED


async def test_a_pause_from_before_the_stored_token_is_history(shared: SharedState) -> None:
    token = await fetched(shared)
    epoch = (await shared.peek(0)).epoch
    pause = Pause(kind=FailureKind.TIMEOUT, left_s=60, strikes=1)
    refused = {"pair-1": replace(pause, kind=FailureKind.REJECTED)}
    after = await shared.seed(remembering(State(epoch=epoch, fence=token.fence - 1, pause=pause, refused=refused)))
    assert (after.pause, after.refused) == (None, {})


async def test_a_cool_down_outlives_a_newer_token(shared: SharedState) -> None:
    """Who was answered 429 waits, also when a fence by a clock that was set makes the stored token look newer."""
    token = await fetched(shared)
    epoch = (await shared.peek(0)).epoch
    pause = Pause(kind=FailureKind.THROTTLED, left_s=60, strikes=1)
    away = State(epoch=epoch, fence=token.fence - 1, pause=pause, strikes={"throttled": 1})
    after = await shared.seed(remembering(away))
    assert after.pause is not None
    assert (after.pause.kind, after.strikes) == (FailureKind.THROTTLED, {})
    assert after.pause.left_s == pytest.approx(60, abs=NEAR_S)
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


async def test_a_remembered_rejection_of_another_token_is_passed_over(shared: SharedState) -> None:
    token = await fetched(shared)
    epoch = (await shared.peek(0)).epoch
    after = await shared.seed(remembering(State(epoch=epoch, fence=token.fence, rejected_id="another")))
    assert after.rejected_id == ""


async def test_a_remembered_rejection_keeps_the_first_reports_age(shared: SharedState) -> None:
    token = await fetched(shared)
    state = (await shared.reject(token.token_id)).state
    after = await shared.seed(remembering(replace(state, rejected_age_s=77)))
    assert (after.rejected_id, after.rejected_age_s) == (token.token_id, state.rejected_age_s)


async def test_a_rejection_holds_when_the_same_token_is_seeded_under_a_newer_fence(shared: SharedState) -> None:
    token = await fetched(shared, "the-same")
    state = (await shared.reject(token.token_id)).state
    after = await shared.seed(remembering(state, fence=token.fence + 1, text="the-same"))
    assert (after.token_fence, after.rejected_id) == (token.fence + 1, token.token_id)


async def test_a_rejection_ends_when_another_token_is_seeded(shared: SharedState) -> None:
    token = await fetched(shared)
    state = (await shared.reject(token.token_id)).state
    after = await shared.seed(remembering(state, fence=token.fence + 1, text="another"))
    assert after.rejected_id == ""


async def test_a_remembered_confirmation_outweighs_a_rejection(shared: SharedState) -> None:
    token = await fetched(shared)
    state = (await shared.reject(token.token_id)).state
    after = await shared.seed(remembering(replace(state, confirmed_id=token.token_id)))
    assert (after.confirmed_id, after.rejected_id) == (token.token_id, "")


async def test_the_offered_age_of_the_stored_token_counts_when_the_stores_clock_was_set(shared: SharedState) -> None:
    token = await fetched(shared)
    for age_s in (100, 40):
        offered = Remembered(state=State(), token=token, token_age_s=age_s, clock_stepped=True)
        state = await shared.seed(offered)
        assert state.now - state.token_issued_at == pytest.approx(age_s, abs=NEAR_S)
    state = await shared.seed(Remembered(state=State(), token=token, token_age_s=300))
    assert state.now - state.token_issued_at == pytest.approx(40, abs=NEAR_S)


async def test_a_seed_that_comes_late_makes_the_token_no_younger(shared: SharedState) -> None:
    """It was sent 20 s ago, when the token's age was 100 s."""
    issued_at = (await shared.peek(0)).now - 120
    token = replace(a_token(7), issued_at=issued_at)
    state = await shared.seed(Remembered(state=State(), token=token, token_age_s=100))
    assert state.token_issued_at == pytest.approx(issued_at, abs=0.001)


async def test_a_clock_that_was_set_brings_no_older_token_back(shared: SharedState) -> None:
    token = await fetched(shared)
    newer = await fetched(shared, known=token.fence)
    await shared.seed(Remembered(state=State(), token=token, token_age_s=1, clock_stepped=True))
    assert (await shared.peek(0)).token_id == newer.token_id


async def test_permits_beyond_the_window_are_left_out(shared: SharedState) -> None:
    after = await shared.seed(remembering(State(grant_ages_s=(100, 61, 30))))
    assert after.grant_ages_s == pytest.approx((30,), abs=NEAR_S)
