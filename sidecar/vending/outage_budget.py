"""The outage budget: the calls that one replica may make while the store is down.

Replicas cannot coordinate then, so each one spends a fixed share of the budget. It waits a random time first, because
the store may be back by then.
"""

from __future__ import annotations

from collections.abc import Callable

from sidecar.core import policy
from sidecar.core.model import MonotonicTime, Profile, Seconds, StoreFailure
from sidecar.core.ports import Clock
from sidecar.vending.local_budget import Share
from sidecar.vending.replica_state import ReplicaState

FIRST_DELAY_S: Seconds = 2
"""A replica without a token waits up to this long before it calls on its own."""


class OutageBudget:
    """When a profile may call while the store is down, on the `share` that all profiles of its account spend."""

    def __init__(self, profile: Profile, clock: Clock, share: Share) -> None:
        self._profile = profile
        self._clock = clock
        self._share = share
        self._blocked_until: MonotonicTime = 0
        self.unhurried_s: Callable[[], Seconds] = lambda: 0
        """How long another account has a good token for the same callers; 0 without such an account."""

    def first_delay_s(self) -> Seconds:
        return self._clock.jitter() * FIRST_DELAY_S

    def blocked_s(self) -> Seconds:
        """How long this replica does not call; 0 when it may try."""
        return max(0, self._blocked_until - self._clock.monotonic())

    def wait_s(self, replica: ReplicaState, *, caller_requested: bool) -> Seconds:
        """How long until this replica may call on its own; 0: now. Never 0 with `SIDECAR_STORE_FAILURE=fail`.

        A replica that holds a good token waits until a random moment in the last part of the token's life. So one
        replica of a fleet calls first, and the store is most likely back before that. A lease and a spent budget that
        the store reported before it went down are waited out.
        """
        if self._profile.store_failure is StoreFailure.FAIL:
            return self._profile.poll_s
        remembered_s = max(replica.lease_left_s(), replica.permit_wait_s(caller_requested=caller_requested))
        return max(
            self._share.wait_s(caller_requested=caller_requested),
            self.good_for_s(replica),
            self.unhurried_s(),
            remembered_s,
        )

    def block(self, wait_s: Seconds) -> None:
        """Do not try again before `wait_s` is over, or the store is back."""
        self._blocked_until = self._clock.monotonic() + min(wait_s, self._profile.poll_s)

    def unblock(self) -> None:
        self._blocked_until = 0

    def spend(self, *, caller_requested: bool) -> None:
        """Take one permit of the share, before the call."""
        self._share.spend(caller_requested=caller_requested)

    def good_for_s(self, replica: ReplicaState) -> Seconds:
        """Return the time until the held token, late in its life, should be replaced without the store."""
        if replica.token is None or replica.is_reported:
            return 0
        usable_s = policy.usable_s(replica.token.lifetime_s, self._profile)
        latest_s = max(replica.refresh_at_s, usable_s - self._profile.partner_timeout_s)
        # The spread of the refresh point is this replica's own random number: reuse it over the longer interval.
        first_s = policy.refresh_point_s(replica.token.lifetime_s, self._profile, 0)
        last_s = policy.refresh_point_s(replica.token.lifetime_s, self._profile, 1)
        share = (replica.refresh_at_s - first_s) / (last_s - first_s) if last_s > first_s else 0
        late_s = replica.refresh_at_s + share * (latest_s - replica.refresh_at_s)
        return max(0, late_s - replica.age_s(self._clock.monotonic()))
