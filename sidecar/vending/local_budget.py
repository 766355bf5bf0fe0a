"""What one process may spend of an account's budget, whatever the store grants, and while the store is down.

This process counts its leases itself: no change of the store's data can make it call beyond the budget. While the store
is down, replicas cannot coordinate, so each one spends a fixed share of the budget. It waits a random time first,
because the store may be back by then.
"""

from __future__ import annotations

from collections import deque
from weakref import WeakValueDictionary

from sidecar.core.model import Budget, MonotonicTime, Profile, Seconds, StoreFailure
from sidecar.core.policy import budget_wait_s, refresh_point_s, usable_s
from sidecar.core.ports import Clock
from sidecar.vending.replica_state import ReplicaState

CLOCKS_APART = 0.99
"""Share of the window. The store's clock may run a little faster than ours, and an honest store's grants must pass."""
FIRST_DELAY_S: Seconds = 2
"""While the store is down, a replica without a token waits up to this long before it calls on its own."""
RECENT_ACCOUNTS = 16
"""Unused budgets that are kept: an API key that is put back has its spent permits again."""


class SpentPermits:
    """This process's own count of permits spent, against one budget."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._spent: deque[MonotonicTime] = deque(maxlen=budget.calls)
        self._spent_by_callers: deque[MonotonicTime] = deque(maxlen=budget.caller_requested_calls)

    def wait_s(self, *, caller_requested: bool) -> Seconds:
        """How long until there is a permit; 0: now."""
        now = self._clock.monotonic()
        ages_s, caller_ages_s = (now - at for at in self._spent), (now - at for at in self._spent_by_callers)
        return budget_wait_s(ages_s, caller_ages_s, self._budget, caller_requested=caller_requested)

    def spend(self, at: MonotonicTime, *, caller_requested: bool) -> None:
        self._spent.append(at)
        if caller_requested:
            self._spent_by_callers.append(at)


class LocalBudget:
    """One account's local budget, used by every profile of this process with that account."""

    def __init__(self, profile: Profile, clock: Clock) -> None:
        budget = profile.budget
        self.grants = SpentPermits(Budget(budget.calls, budget.window_s * CLOCKS_APART), clock)
        """The leases of this process, against the whole fleet's budget: the most that one process can be granted."""
        self.share = SpentPermits(budget.share_of(profile.fleet_size), clock)
        """The calls without a lease while the store is down, against this process's part of the fleet's budget."""


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
            budget = self._by_account[profile.profile_id] = LocalBudget(profile, self._clock)
        self._recent.append(budget)
        return budget


class OutageBudget:
    """When a profile may call while the store is down, on the share that all profiles of its account spend."""

    def __init__(self, profile: Profile, clock: Clock, budget: LocalBudget, replica: ReplicaState) -> None:
        self._profile = profile
        self._clock = clock
        self._budget = budget
        self._replica = replica
        self._blocked_until: MonotonicTime = 0
        self._other: OutageBudget | None = None

    def stand_in_for(self, other: OutageBudget | None) -> None:
        """Wait while the `other` account has a good token for the same callers. None: there is no other."""
        self._other = other

    def first_delay_s(self) -> Seconds:
        return self._clock.jitter() * FIRST_DELAY_S

    def blocked_s(self) -> Seconds:
        """How long this replica does not call; 0 when it may try."""
        return max(0, self._blocked_until - self._clock.monotonic())

    def wait_s(self, *, caller_requested: bool) -> Seconds:
        """How long until this replica may call on its own; 0: now. Never 0 with `SIDECAR_STORE_FAILURE=fail`.

        A replica that holds a good token waits until a random time in the last part of the token's life. So one
        replica of a fleet calls first, and the store is most likely back before that. A lease and a spent budget that
        the store reported before it went down are waited out.
        """
        if self._profile.store_failure is StoreFailure.FAIL:
            return self._profile.poll_s
        mirror, now = self._replica.mirror, self._clock.monotonic()
        return max(
            self._budget.share.wait_s(caller_requested=caller_requested),
            self.good_for_s(),
            0 if self._other is None else self._other.good_for_s(),
            mirror.lease_left_s(now),
            mirror.permit_wait_s(now, caller_requested=caller_requested),
        )

    def block(self, wait_s: Seconds) -> None:
        """Do not try again before `wait_s` is over, or the store is back."""
        self._blocked_until = self._clock.monotonic() + min(wait_s, self._profile.poll_s)

    def unblock(self) -> None:
        self._blocked_until = 0

    def good_for_s(self) -> Seconds:
        """Return the time until the held token, late in its life, should be replaced without the store."""
        replica, profile = self._replica, self._profile
        if replica.token is None or replica.is_reported:
            return 0
        lifetime_s = replica.token.lifetime_s
        latest_s = max(replica.refresh_at_s, usable_s(lifetime_s, profile) - profile.partner_timeout_s)
        # The spread of the refresh point is this replica's own random number: reuse it over the longer interval.
        first_s, last_s = refresh_point_s(lifetime_s, profile, 0), refresh_point_s(lifetime_s, profile, 1)
        share = (replica.refresh_at_s - first_s) / (last_s - first_s) if last_s > first_s else 0
        late_s = replica.refresh_at_s + share * (latest_s - replica.refresh_at_s)
        return max(0, late_s - replica.age_s(self._clock.monotonic()))
