"""The store's clock as one replica knows it: read with every answer, carried on by the local monotonic clock."""

from __future__ import annotations

from sidecar.core.model import MonotonicTime, Seconds, UtcTime
from sidecar.core.ports import Clock

CLOCK_STEP_S: Seconds = 1
"""Clocks that run apart by more than this between two answers: one was set, and it was not the monotonic one."""


class StoreTime:
    """What the store's clock shows, and whether somebody has set it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s: Seconds | None = None
        """Store instant less local moment at the last answer's arrival; None before the first one."""
        self._took_s: Seconds = 0

    def at(self, moment: MonotonicTime) -> UtcTime:
        """The store's clock at a local moment, by its last answer; this machine's before the first one."""
        if self._ahead_s is None:
            return self._clock.wall() + (moment - self._clock.monotonic())
        return moment + self._ahead_s

    def step_s(self, read: UtcTime, asked_at: MonotonicTime) -> Seconds:
        """By how much the clock was set since the last answer; 0 when it may just have run on.

        The store read it somewhere between question and answer. So the last answer may be older than it looks by all
        the time it took, and this one is not older than its question.
        """
        if self._ahead_s is None:
            return 0
        forward_s = read - self.at(self._clock.monotonic()) - self._took_s
        back_s = self.at(asked_at) - read
        if forward_s > CLOCK_STEP_S:
            return forward_s
        return -back_s if back_s > CLOCK_STEP_S else 0

    def follow(self, read: UtcTime, asked_at: MonotonicTime) -> None:
        """An answer came, to the question of `asked_at`."""
        now = self._clock.monotonic()
        self._ahead_s = read - now
        self._took_s = now - asked_at
