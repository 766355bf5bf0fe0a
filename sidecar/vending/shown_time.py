"""Local monotonic times as this machine's UTC, for apps and people. A shown time changes only if the clock is set."""

from __future__ import annotations

from collections import deque

from sidecar.core.model import MonotonicTime, Seconds, UtcTime
from sidecar.core.ports import Clock

SAME_S: Seconds = 1
"""Times that differ by no more count as equal: they are shown in whole seconds, and clocks are slewed."""
_READ_S: Seconds = 0.05
_READ_TIMES = 3
_MOST_ENDS = 8
"""More than a snapshot has: pause, next try, lease."""


class ShownTime:
    """Converts monotonic times to UTC by the difference between this machine's two clocks at construction.

    The difference is read again only when the wall clock has moved by more than `SAME_S`: it was set. Until then one
    monotonic time always gives the same UTC.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = _ahead_s(clock)

    def is_right(self, now: MonotonicTime) -> bool:
        """Whether the wall clock has not been set since construction; `now` is the present monotonic time."""
        return -SAME_S <= self._clock.wall() - now - self._ahead_s <= SAME_S

    def at(self, moment: MonotonicTime) -> UtcTime:
        """Return the UTC of a past or future monotonic time."""
        ahead_s = _ahead_s(self._clock)
        if abs(ahead_s - self._ahead_s) > SAME_S:
            self._ahead_s = ahead_s
        return moment + self._ahead_s


class Ends:
    """Keeps end times constant: each reply of the store measures the time left a little differently."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: deque[MonotonicTime] = deque(maxlen=_MOST_ENDS)

    def after(self, left_s: Seconds) -> MonotonicTime:
        """Return the end of a span with `left_s` left: a known end, if one differs by no more than `SAME_S`."""
        end = self._clock.monotonic() + left_s
        for known in self._known:
            if abs(known - end) <= SAME_S:
                return known
        self._known.append(end)
        return end


def _ahead_s(clock: Clock) -> Seconds:
    """Return wall clock minus monotonic clock. Both are read again if the process was stopped in between."""
    for _ in range(_READ_TIMES):
        before = clock.monotonic()
        ahead_s = clock.wall() - before
        if clock.monotonic() - before <= _READ_S:
            break
    return ahead_s
