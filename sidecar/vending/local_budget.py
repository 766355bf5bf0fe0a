"""What one process may spend of an account's budget, whatever the store grants, and while the store is down.

This process's own count of its leases: no change of the store's data can make it call beyond the budget.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from weakref import WeakValueDictionary

from sidecar.core.model import Budget, MonotonicTime, Profile, Seconds
from sidecar.core.policy import budget_wait_s, permit_wait_s
from sidecar.core.ports import Clock

CLOCKS_APART = 0.99
"""Share of the window. The store's clock may run a little faster than ours, and an honest store's grants must pass."""


class GrantHistory:
    """Checks this process's grants against the whole fleet's budget, the most that one process can be granted."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._granted: deque[MonotonicTime] = deque(maxlen=budget.calls)

    def note(self, asked_at: MonotonicTime) -> None:
        """Record a lease. `asked_at` is before the store was asked and counted it: we are never stricter."""
        self._granted.append(asked_at)

    def wait_s(self) -> Seconds:
        """Return how long until one more grant can be within the budget; 0: now."""
        now = self._clock.monotonic()
        ages_s = [now - at for at in self._granted]
        return permit_wait_s(ages_s, self._budget.calls, self._budget.window_s * CLOCKS_APART)


RECENT_ACCOUNTS = 16
"""Unused budgets that are kept: an API key that is put back has its spent permits again."""


class Share:
    """This process's part of the fleet's budget, for calls that the store cannot grant because it is down."""

    def __init__(self, share: Budget, clock: Clock) -> None:
        self._share = share
        self._clock = clock
        self._spent: deque[MonotonicTime] = deque(maxlen=share.calls)
        self._spent_by_callers: deque[MonotonicTime] = deque(maxlen=share.caller_requested_calls)

    def wait_s(self, *, caller_requested: bool) -> Seconds:
        """How long until there is a permit; 0: now."""
        now = self._clock.monotonic()
        ages_s, caller_ages_s = (now - at for at in self._spent), (now - at for at in self._spent_by_callers)
        return budget_wait_s(ages_s, caller_ages_s, self._share, caller_requested=caller_requested)

    def spend(self, *, caller_requested: bool) -> None:
        """Take one permit, before the call."""
        now = self._clock.monotonic()
        self._spent.append(now)
        if caller_requested:
            self._spent_by_callers.append(now)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class LocalBudget:
    """One account's local budget, used by every profile of this process with that account."""

    ledger: GrantHistory
    share: Share


class LocalBudgets:
    """One for each process: two profiles of one account spend one budget, also without the store."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The users of a budget keep it alive, so budgets of unused accounts do not accumulate.
        self._by_account: WeakValueDictionary[str, LocalBudget] = WeakValueDictionary()
        self._recent: deque[LocalBudget] = deque(maxlen=RECENT_ACCOUNTS)

    def of(self, profile: Profile) -> LocalBudget:
        """Return the budget of the profile's account; with the first profile's numbers, where profiles differ."""
        budget = self._by_account.get(profile.profile_id)
        if budget is None:
            share = Share(profile.budget.share_of(profile.fleet_size), self._clock)
            budget = LocalBudget(GrantHistory(profile.budget, self._clock), share)
            self._by_account[profile.profile_id] = budget
        self._recent.append(budget)
        return budget
