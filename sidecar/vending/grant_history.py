"""This process's own count of its leases: no change of the store's data can make it call beyond the budget."""

from __future__ import annotations

from collections import deque

from sidecar.core.model import Budget, MonotonicTime, Seconds
from sidecar.core.policy import permit_wait_s
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
