"""One replica's copy of the store's clock: read with every reply, continued by the local monotonic clock."""

from __future__ import annotations

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

    def at(self, moment: MonotonicTime) -> UtcTime:
        """Return the store's time at a local monotonic time, by its last reply; this machine's before the first one."""
        if self._ahead_s is None:
            return self._clock.wall() + (moment - self._clock.monotonic())
        return moment + self._ahead_s

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
