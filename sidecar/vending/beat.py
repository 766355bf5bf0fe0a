"""When one process looks at the store: all its profiles in the same moment.

To wake up costs more than to look, for by then the processor has forgotten what the last round was made of. Four
profiles that look together take two fifths of what they take one by one.
"""

from __future__ import annotations

from sidecar.core.model import MonotonicTime, Seconds
from sidecar.core.ports import Clock

TOGETHER_S: Seconds = 0.01
"""A beat that is nearer than this is over: timers go off a moment early or late."""


class Beat:
    """One for each process, so that replicas do not look together."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._next: MonotonicTime = 0

    def rest_s(self, poll_s: Seconds) -> Seconds:
        """Until the next beat: at most `poll_s`, for that is the bound within which a report reaches every replica."""
        now = self._clock.monotonic()
        if self._next - now < TOGETHER_S:
            self._next = now + poll_s * (0.9 + 0.1 * self._clock.jitter())
        return self._next - now
