"""Who may call now."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import replace

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import Adopt, ClaimRequest, CoolingDown, Granted, Held, LearnedLifetime, OverBudget
from tests.contract.nearness import near
from tests.contract.worlds import (
    LIMIT_S,
    PROFILE,
    World,
    a_failure,
    a_token,
    an_ask,
    failed,
    fetched,
    grant_ages_s,
    granted,
    outcome_name,
)


async def test_a_store_that_knows_nothing_shows_the_default_state(shared: SharedState) -> None:
    state = await shared.peek(0)
    assert (state.epoch, state.fence, state.token, state.token_fence, state.pause) == ("", 0, None, 0, None)
    assert state.now > 0


async def test_a_cold_start_is_granted_at_once_with_the_whole_lease(shared: SharedState) -> None:
    claimed = await shared.claim(an_ask("replica-7/abc"))
    assert isinstance(claimed.outcome, Granted)
    assert claimed.outcome.limit_s == LIMIT_S
    assert claimed.state.lease_owner == "replica-7"
    assert claimed.state.lease_left_s == LIMIT_S
    assert claimed.state.epoch


async def test_of_fifty_claims_at_once_one_is_granted(shared: SharedState) -> None:
    claims = await asyncio.gather(*(shared.claim(an_ask()) for _ in range(50)))
    assert Counter(map(outcome_name, claims)) == {"Granted": 1, "Held": 49}
    assert len((await shared.peek(0)).grants) == 1


async def test_the_same_nonce_is_granted_again_and_charged_once(world: World, shared: SharedState) -> None:
    nonce, first = await granted(shared)
    world.advance(4)
    _, again = await granted(shared, an_ask(nonce))
    assert again.fence == first.fence
    assert again.limit_s == near(LIMIT_S - 4), "a repeated ask must not stretch the lease"
    assert len((await shared.peek(0)).grants) == 1


async def test_a_running_lease_holds_the_others_back_until_it_ends(world: World, shared: SharedState) -> None:
    _, first = await granted(shared)
    held = (await shared.claim(an_ask())).outcome
    assert isinstance(held, Held)
    assert held.left_s == near(LIMIT_S)
    world.advance(LIMIT_S)
    _, second = await granted(shared)
    assert second.fence > first.fence


async def test_a_fence_is_above_all_that_was_seen_and_at_least_the_clock(shared: SharedState) -> None:
    claimed = await shared.claim(an_ask())
    assert isinstance(claimed.outcome, Granted)
    now_ms = round(claimed.state.now * 1000)
    assert claimed.outcome.fence in (now_ms, now_ms + 1)


async def test_the_fence_of_a_lease_is_even_whatever_was_seen(shared: SharedState) -> None:
    """Odd ones are for calls without a lease, so that nobody's token ends the lease of a call that is out."""
    for ahead in (0, 1, 2, 3):
        seen = FAR_AHEAD + 10 * ahead + ahead
        nonce, grant = await granted(shared, an_ask(fence=seen))
        assert grant.fence % 2 == 0
        assert grant.fence > seen
        await shared.fail(a_failure(nonce, grant.fence, None, 0, "credentials-1"))


FAR_AHEAD = 9_000_000_000_000


@pytest.mark.parametrize("ask", [an_ask(fence=FAR_AHEAD), an_ask(known=FAR_AHEAD)])
async def test_a_fence_is_above_what_the_asker_has_seen(shared: SharedState, ask: ClaimRequest) -> None:
    _, grant = await granted(shared, ask)
    assert grant.fence == FAR_AHEAD + 2
    assert (await shared.peek(0)).fence == FAR_AHEAD + 2


async def test_a_newer_token_is_adopted_and_costs_nothing(shared: SharedState) -> None:
    token = await fetched(shared, "the-token")
    claimed = await shared.claim(an_ask())
    assert isinstance(claimed.outcome, Adopt)
    assert claimed.state.token == token
    assert len(claimed.state.grants) == 1


async def test_a_newer_token_is_adopted_through_lease_and_cool_down(shared: SharedState) -> None:
    token = await fetched(shared)
    await failed(shared, FailureKind.THROTTLED, 30, known=token.fence)
    assert isinstance((await shared.claim(an_ask())).outcome, Adopt)


async def test_a_rejected_token_is_not_offered(shared: SharedState) -> None:
    token = await fetched(shared)
    await shared.reject(token.token_id, 0)
    assert isinstance((await shared.claim(an_ask())).outcome, Granted)


async def test_a_cool_down_stops_everyone_until_it_ends(world: World, shared: SharedState) -> None:
    await failed(shared, FailureKind.THROTTLED, 30)
    stopped = (await shared.claim(an_ask(credentials_id="credentials-2"))).outcome
    assert isinstance(stopped, CoolingDown)
    assert stopped.pause.kind is FailureKind.THROTTLED
    assert stopped.pause.left_s == near(30)
    world.advance(30)
    await granted(shared)


async def test_refused_credentials_stop_only_themselves(shared: SharedState) -> None:
    await failed(shared, FailureKind.UNAUTHORIZED, 120, credentials_id="credentials-1")
    stopped = (await shared.claim(an_ask(credentials_id="credentials-1"))).outcome
    assert isinstance(stopped, CoolingDown)
    assert stopped.pause.kind is FailureKind.UNAUTHORIZED
    await granted(shared, an_ask(credentials_id="credentials-2"))


async def test_the_budget_is_a_sliding_window_over_the_grants(world: World, shared: SharedState) -> None:
    for _ in range(PROFILE.budget.calls):
        await failed(shared, FailureKind.TIMEOUT, 0)
        world.advance(10)
    spent = (await shared.claim(an_ask())).outcome
    assert isinstance(spent, OverBudget)
    assert spent.left_s == near(20), "the oldest of four permits, 40 s old, ends a 60 s window"
    world.advance(20)
    await failed(shared, FailureKind.TIMEOUT, 0)
    spent = (await shared.claim(an_ask())).outcome
    assert isinstance(spent, OverBudget)
    assert spent.left_s == near(10), "one permit came free, not all four"


async def test_calls_on_demand_get_half_of_the_budget(shared: SharedState) -> None:
    for _ in range(PROFILE.budget.caller_requested_calls):
        nonce, grant = await granted(shared, an_ask(caller_requested=True))
        await shared.fail(a_failure(nonce, grant.fence, None, 0, "credentials-1", None))
    claimed = await shared.claim(an_ask(caller_requested=True))
    assert isinstance(claimed.outcome, OverBudget)
    assert len(grant_ages_s(claimed.state, caller_requested=True)) == 2
    await granted(shared, an_ask())


async def test_a_store_that_lost_its_data_is_in_quarantine_for_one_lease(world: World, shared: SharedState) -> None:
    _, before = await granted(shared)
    epoch = (await shared.peek(0)).epoch
    world.lose_data()
    ask = an_ask(epoch=epoch, fence=before.fence)
    held = (await shared.claim(ask)).outcome
    assert isinstance(held, Held)
    assert held.left_s == near(LIMIT_S)
    assert isinstance((await shared.claim(an_ask())).outcome, Held), "those who remember nothing wait as well"
    world.advance(LIMIT_S)
    _, after = await granted(shared, ask)
    assert after.fence > before.fence


async def test_an_old_memory_starts_the_quarantine_of_a_young_store(shared: SharedState) -> None:
    token = await fetched(shared)
    asked = an_ask(epoch="of-another-life", known=token.fence)
    assert isinstance((await shared.claim(asked)).outcome, Held)
    assert isinstance((await shared.claim(an_ask())).outcome, Adopt), "a token is there: nobody waits for it"


async def test_the_same_epoch_is_no_loss(shared: SharedState) -> None:
    token = await fetched(shared)
    epoch = (await shared.peek(0)).epoch
    await granted(shared, an_ask(epoch=epoch, known=token.fence))


async def test_a_store_forgets_a_token_that_nobody_could_vend(world: World, shared: SharedState) -> None:
    nonce, grant = await granted(shared)
    token = a_token(grant.fence, lifetime_s=100)
    await shared.commit(nonce, token, 0, LearnedLifetime())
    world.advance(100 + PROFILE.max_stale_s)
    assert (await shared.peek(0)).token is not None
    world.advance(90)
    assert (await shared.peek(0)).token is None


async def test_profiles_do_not_see_each_other(world: World, shared: SharedState) -> None:
    await fetched(shared)
    other = world.store.shared_state(replace(PROFILE, role="OTHER"))
    assert (await other.peek(0)).epoch == ""
    await granted(other)
