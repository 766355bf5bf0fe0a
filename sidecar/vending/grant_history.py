"""This process's own count of what it was granted: nobody who writes to the store makes it call beyond the budget."""

from __future__ import annotations

from collections import deque

from sidecar.core.model import Budget, MonotonicTime, Seconds
from sidecar.core.policy import permit_wait_s
from sidecar.core.ports import Clock

CLOCKS_APART = 0.99
"""Of the window: the store's clock may run a little faster than ours, and its word holds where it is honest."""


class GrantHistory:
    """The whole fleet's budget, as the most that one process can have been granted."""

    def __init__(self, budget: Budget, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._granted: deque[MonotonicTime] = deque(maxlen=budget.calls)

    def note(self, asked_at: MonotonicTime) -> None:
        """A lease was granted. `asked_at`, before the store was asked, is before it counted: we are never stricter."""
        self._granted.append(asked_at)

    def wait_s(self) -> Seconds:
        """How long until one more grant can be right; 0: now."""
        now = self._clock.monotonic()
        ages_s = [now - at for at in self._granted]
        return permit_wait_s(ages_s, self._budget.calls, self._budget.window_s * CLOCKS_APART)
