"""Known bugs of such services, to be planted. A simulation that finds none of them would prove nothing.

Each is the smallest change to the real code that makes the mistake; the names are those of the mistakes.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

from sidecar.core.model import Budget, Profile, Token
from sidecar.core.shared_state import ClaimRequest, LearnedLifetime
from sidecar.stores import decisions
from sidecar.stores.documents import Coordination, OutcomeName, StoredGrant
from sidecar.vending.api import VendedToken
from sidecar.vending.broker import Broker
from sidecar.vending.singleflight import SingleFlight, _consume
from tests.simulation.plan import Fault, Plan, plan_of
from tests.simulation.planted_order import (
    instants_compared_with_fences,
    last_pause_counts,
    local_fences_like_leases,
    own_token_is_always_taken,
)


@contextlib.contextmanager
def no_fence() -> Iterator[None]:
    """The last commit is stored, whatever its fence."""
    commit = decisions.commit

    def commit_over(stored: decisions.Stored, nonce: str, token: Token, learned: LearnedLifetime) -> OutcomeName:
        stored.token = None
        return commit(stored, nonce, token, learned)

    with mock.patch.object(decisions, "commit", commit_over):
        yield


@contextlib.contextmanager
def release_without_owner_check() -> Iterator[None]:
    """A replica that ends its own lease ends the lease of another."""

    def end_any(gate: Coordination, nonce: str) -> None:
        gate.lease = None

    with mock.patch.object(decisions, "_end_lease", end_any):
        yield


@contextlib.contextmanager
def no_look_after_the_claim() -> Iterator[None]:
    """The replica that gets the lease calls, though the previous holder may have stored a token."""
    claim = decisions.claim

    def claim_blindly(stored: decisions.Stored, ask: ClaimRequest, profile: Profile) -> tuple[OutcomeName, int]:
        return claim(replace(stored, token=None), ask, profile)

    with mock.patch.object(decisions, "claim", claim_blindly):
        yield


@contextlib.contextmanager
def budget_charged_after_the_call() -> Iterator[None]:
    """A permit is spent when the call is over, so never by a process that is killed during the call."""
    grant, end = decisions._grant, decisions._end_lease

    def grant_for_nothing(gate: Coordination, now_ms: int, ask: ClaimRequest, profile: Profile) -> None:
        spent = list(gate.grants)
        grant(gate, now_ms, ask, profile)
        gate.grants = spent

    def charge(gate: Coordination, nonce: str) -> None:
        if gate.lease is not None and gate.lease.nonce == nonce:
            gate.grants.append(StoredGrant(gate.lease.fence, gate.lease.from_ms))
        end(gate, nonce)

    with mock.patch.object(decisions, "_grant", grant_for_nothing), mock.patch.object(decisions, "_end_lease", charge):
        yield


@contextlib.contextmanager
def no_shield() -> Iterator[None]:
    """The first caller's cancellation cancels the refresh attempt of all callers."""

    async def join(self: SingleFlight[Any, Any], key: str, work: Callable[[], Awaitable[Any]]) -> Any:  # noqa: ANN401
        task = self._tasks.get(key)
        if task is None:
            task = self._tasks[key] = asyncio.ensure_future(self._run(key, work))
            task.add_done_callback(_consume)
        return await task

    with mock.patch.object(SingleFlight, "join", join):
        yield


@contextlib.contextmanager
def cool_down_before_freshness() -> Iterator[None]:
    """Callers get the cool-down error while their token is still good."""
    look = Broker._look

    def look_at_blockers_first(self: Broker, min_ttl_s: float) -> VendedToken | None:
        return look(self, min_ttl_s) if self.blockers.find(caller_requested=False) is None else None

    with mock.patch.object(Broker, "_look", look_at_blockers_first):
        yield


LONG_CALLS = Profile(
    base_url="https://partner.example",
    lifetime_s=40,
    refresh_at=0.6,
    margin_s=2,
    partner_timeout_s=8,
    budget=Budget(6, 60),
)
"""Slow calls leave much time for an error of another replica."""

ALONE = replace(LONG_CALLS, budget=Budget(12, 60), fleet_size=1, cooldown_s=20)
"""Each replica may spend the whole budget on its own."""

QUICK_LONG_CALLS = replace(LONG_CALLS, lifetime_s=20, margin_s=1, budget=Budget(60, 60), fleet_size=2, cooldown_s=20)

LEARNS_OF_TOKENS = frozenset({Fault.CUT, Fault.ELSEWHERE})
LEARNS_OF_COOL_DOWNS = LEARNS_OF_TOKENS | {Fault.THROTTLE, Fault.PARTNER}
"""Reports make a replica read the store during its call without a lease."""
FENCES_AHEAD = frozenset({Fault.STORE_CLOCK_BACK, Fault.CUT, Fault.HOSTILITY})
"""Steps of the store's clock, so that neither side takes its fences from there."""


@dataclass(frozen=True, slots=True)
class Hunt:
    """The faults, their frequency and the set-up (by default each seed's own) that find a planted bug soon.

    The search begins at `first`, a seed that found it, and continues: another version may need another seed.
    """

    bug: Callable[[], AbstractContextManager[None]]
    faults: frozenset[Fault]
    every_s: float = 6
    profile: Profile | None = None
    ask_every_s: float = 1
    first: int = 0

    def plans(self, count: int) -> Iterator[Plan]:
        for seed in range(self.first, self.first + count):
            plan = replace(plan_of(seed), faults=self.faults, every_s=self.every_s)
            if self.profile is not None:
                plan = replace(plan, replicas=4, profiles=(self.profile,), ask_every_s=self.ask_every_s)
            yield plan


HUNTS = (
    Hunt(no_fence, frozenset({Fault.PAUSE})),
    Hunt(release_without_owner_check, frozenset({Fault.PAUSE, Fault.PARTNER}), every_s=1, profile=LONG_CALLS),
    Hunt(no_look_after_the_claim, frozenset()),
    Hunt(budget_charged_after_the_call, frozenset({Fault.KILL})),
    Hunt(no_shield, frozenset({Fault.IMPATIENCE, Fault.PARTNER}), first=30),
    Hunt(cool_down_before_freshness, frozenset({Fault.THROTTLE})),
    Hunt(last_pause_counts, LEARNS_OF_COOL_DOWNS, every_s=1, profile=QUICK_LONG_CALLS, ask_every_s=0.3, first=42),
    Hunt(own_token_is_always_taken, LEARNS_OF_TOKENS, every_s=1, profile=QUICK_LONG_CALLS, ask_every_s=0.3),
    Hunt(instants_compared_with_fences, FENCES_AHEAD | {Fault.THROTTLE}, every_s=2, profile=ALONE, first=49),
    Hunt(local_fences_like_leases, FENCES_AHEAD, every_s=1, profile=ALONE, first=40),
)
"""The mistakes of `planted_order` that are missing here cause too few violations, because other replicas seed the
store: `test_order_of_facts` replays each."""
