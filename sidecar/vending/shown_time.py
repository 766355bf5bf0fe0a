"""Local moments as apps and people are shown them: instants of this machine's clock, the same until it is set."""

from __future__ import annotations

from collections import deque

from sidecar.core.model import MonotonicTime, Seconds, UtcTime
from sidecar.core.ports import Clock

SAME_S: Seconds = 1
"""Instants that differ by no more are one: they are shown in whole seconds, and clocks are slewed."""
_READ_S: Seconds = 0.05
_READ_TIMES = 3
_MOST_ENDS = 8
"""More than a snapshot has: pause, next try, lease."""


class ShownTime:
    """Turns moments into instants by the difference between this machine's two clocks, as it was when this was made.

    Only a wall clock that has moved by more than `SAME_S` since is read anew: it was set. Until then one moment is one
    instant, whoever asks and however often.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._ahead_s = _ahead_s(clock)

    def is_right(self, now: MonotonicTime) -> bool:
        """Whether the wall clock has not been set since, at the present moment `now`."""
        return -SAME_S <= self._clock.wall() - now - self._ahead_s <= SAME_S

    def at(self, moment: MonotonicTime) -> UtcTime:
        """The instant of a moment that was or will be."""
        ahead_s = _ahead_s(self._clock)
        if abs(ahead_s - self._ahead_s) > SAME_S:
            self._ahead_s = ahead_s
        return moment + self._ahead_s


class Ends:
    """Keeps an end what it was: each answer of the store measures what is left a little differently."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: deque[MonotonicTime] = deque(maxlen=_MOST_ENDS)

    def after(self, left_s: Seconds) -> MonotonicTime:
        """The end of what has `left_s` left: one that is known, where it differs from that by no more than `SAME_S`."""
        end = self._clock.monotonic() + left_s
        for known in self._known:
            if abs(known - end) <= SAME_S:
                return known
        self._known.append(end)
        return end


def _ahead_s(clock: Clock) -> Seconds:
    """Wall clock less monotonic one, read in one moment: a process that was stopped in between reads them again."""
    for _ in range(_READ_TIMES):
        before = clock.monotonic()
        ahead_s = clock.wall() - before
        if clock.monotonic() - before <= _READ_S:
            break
    return ahead_s
