"""When one process reads the store: all its profiles at the same time.

A wake-up costs more than a read, because the processor's caches no longer hold the last round's data. Four profiles
that read together cost two fifths of what they cost one by one.
"""

from __future__ import annotations

from sidecar.core.model import MonotonicTime, Seconds
from sidecar.core.ports import Clock

TOGETHER_S: Seconds = 0.01
"""A beat that is nearer than this counts as over: timers fire a little early or late."""


class Beat:
    """One for each process, so that replicas do not read the store together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: MonotonicTime = 0

    def rest_s(self, poll_s: Seconds) -> Seconds:
        """Return the time to the next beat: at most `poll_s`, the bound within which a report reaches every replica."""
        now = self._clock.monotonic()
        if self._next - now < TOGETHER_S:
            self._next = now + poll_s * (0.9 + 0.1 * self._clock.jitter())
        return self._next - now
