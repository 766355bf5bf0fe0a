"""The latest events, for the status page."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.events import Event
from sidecar.core.model import MonotonicTime, UtcTime
from sidecar.core.ports import Clock
from sidecar.core.timestamps import iso
from sidecar.telemetry.log import event_fields
from sidecar.telemetry.throttle import repeated_as
from sidecar.vending.store_clock import ShownTime


@dataclass(frozen=True, slots=True)
class _Kept:
    """An event, or the last of several equal ones."""

    key: Hashable
    event: Event
    count: int
    happened: MonotonicTime
    happened_at: UtcTime
    shown_time: ShownTime

    def shown(self) -> dict[str, object]:
        at = self.shown_time.at(self.happened)
        head = {"at": iso(at), "event": self.event.name, "level": self.event.level, "count": self.count}
        # The times in the event are by the clock as it was when the event happened.
        return head | event_fields(self.event, later_s=at - self.happened_at)


class RecentEvents:
    """Keeps the latest `limit` events, without those of level debug (such as one for each request).

    An event that repeats the previous one replaces it and increments `count`. So a store that is down for an hour, or
    an app that reports all the time, does not push out earlier events.
    """

    def __init__(self, clock: Clock, limit: int = 100) -> None:
        self._clock = clock
        self._kept: deque[_Kept] = deque(maxlen=limit)

    def emit(self, event: Event) -> None:
        if event.level == "debug":
            return
        repeated, count = repeated_as(event), 1
        key = event if repeated is None else repeated
        if self._kept and self._kept[-1].key == key:
            count += self._kept.pop().count
        now, shown_time = self._clock.monotonic(), ShownTime(self._clock)
        self._kept.append(_Kept(key, event, count, now, shown_time.at(now), shown_time))

    def __call__(self) -> Sequence[Mapping[str, object]]:
        """Return the events, newest last: `at` (of the last repetition), `event`, `level`, `count`, and their fields.

        Times are ISO 8601, by this machine's current clock, also when it was set after the event.
        """
        return [kept.shown() for kept in self._kept]
