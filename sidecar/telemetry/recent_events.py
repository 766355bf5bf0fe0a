"""The latest events, for the status page."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.core.events import Event
from sidecar.core.model import MonotonicTime, UtcTime
from sidecar.core.ports import Clock
from sidecar.core.timestamps import iso
from sidecar.telemetry.event_fields import event_fields
from sidecar.telemetry.throttle import repeated_as
from sidecar.vending.shown_time import ShownTime


@dataclass(frozen=True, slots=True)
class _Kept:
    """An event, or several that tell the same, as of the last of them."""

    what: Hashable
    event: Event
    count: int
    happened: MonotonicTime
    happened_at: UtcTime
    shown_time: ShownTime

    def shown(self) -> dict[str, object]:
        at = self.shown_time.at(self.happened)
        about = {"at": iso(at), "event": self.event.name, "level": self.event.level, "count": self.count}
        # The instants in it are of the clock as it was when it happened.
        return about | event_fields(self.event, later_s=at - self.happened_at)


class RecentEvents:
    """Keeps the latest `limit` events; those of level debug, one for each request among them, pass by.

    An event that repeats the one before it takes its place with a `count`, so that a store that is down for an hour, or
    an app that reports without end, does not push out what happened before.
    """

    def __init__(self, clock: Clock, limit: int = 100) -> None:
        self._clock = clock
        self._kept: deque[_Kept] = deque(maxlen=limit)

    def emit(self, event: Event) -> None:
        if event.level == "debug":
            return
        same, count = repeated_as(event), 1
        what = event if same is None else same
        if self._kept and self._kept[-1].what == what:
            count += self._kept.pop().count
        now, shown_time = self._clock.monotonic(), ShownTime(self._clock)
        self._kept.append(_Kept(what, event, count, now, shown_time.at(now), shown_time))

    def __call__(self) -> Sequence[Mapping[str, object]]:
        """Newest last: `at` (of the last repetition), `event`, `level`, `count`, and the event's fields.

        Instants are ISO 8601, by this machine's clock as it goes now, also where it was set since.
        """
        return [kept.shown() for kept in self._kept]
