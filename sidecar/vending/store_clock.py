"""One replica's copy of the store's clock: read with every reply, continued by the local monotonic clock.

Local monotonic times as this machine's UTC, for apps and people. A shown time changes only if the clock is set.
"""

from __future__ import annotations

from collections import deque

from sidecar.core.model import MonotonicTime, Seconds, UtcTime
from sidecar.core.ports import Clock

CLOCK_STEP_S: Seconds = 1
"""If the clocks differ by more than this between two replies, one was set: the store's, as ours is monotonic."""


class StoreTime:
    """The time of the store's clock, and whether the clock was set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s: Seconds | None = None
        """Store time minus local monotonic time at the last reply's arrival; None before the first reply."""
        self._took_s: Seconds = 0

    def at(self, local: MonotonicTime) -> UtcTime:
        """Return the store's time at a local monotonic time, by its last reply; this machine's before the first one."""
        if self._ahead_s is None:
            return self._clock.wall() + (local - self._clock.monotonic())
        return local + self._ahead_s

    def step_s(self, read: UtcTime, asked_at: MonotonicTime) -> Seconds:
        """Return by how much the clock was set since the last reply; 0 when it may not have been set.

        The store read its clock between request and reply. So the last reply may be older than it seems by all the time
        it took, and this reply is not older than its request.
        """
        if self._ahead_s is None:
            return 0
        forward_s = read - self.at(self._clock.monotonic()) - self._took_s
        back_s = self.at(asked_at) - read
        if forward_s > CLOCK_STEP_S:
            return forward_s
        return -back_s if back_s > CLOCK_STEP_S else 0

    def follow(self, read: UtcTime, asked_at: MonotonicTime) -> None:
        """Take the clock value of a reply to the request of `asked_at`."""
        now = self._clock.monotonic()
        self._ahead_s = read - now
        self._took_s = now - asked_at


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

    def at(self, local: MonotonicTime) -> UtcTime:
        """Return the UTC of a past or future monotonic time."""
        ahead_s = _ahead_s(self._clock)
        if abs(ahead_s - self._ahead_s) > SAME_S:
            self._ahead_s = ahead_s
        return local + self._ahead_s


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
