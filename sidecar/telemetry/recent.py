"""The latest events, for the status page."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Mapping, Sequence

from sidecar.core.events import Event
from sidecar.core.iso8601 import iso
from sidecar.core.ports import Clock
from sidecar.telemetry.event_fields import event_fields
from sidecar.telemetry.repetition import repeated_as


class RecentEvents:
    """Keeps the latest `limit` events; those of level debug, one for each request among them, pass by.

    An event that repeats the one before it takes its place with a `count`, so that a store that is down for an hour, or
    an app that reports without end, does not push out what happened before.
    """

    def __init__(self, clock: Clock, limit: int = 100) -> None:
        self._clock = clock
        self._kept: deque[tuple[Hashable, dict[str, object]]] = deque(maxlen=limit)

    def emit(self, event: Event) -> None:
        if event.level == "debug":
            return
        now = iso(self._clock.wall())
        same, count = repeated_as(event), 1
        what = event if same is None else same
        if self._kept and self._kept[-1][0] == what:
            _, earlier = self._kept.pop()
            count += int(str(earlier["count"]))
        about = {"at": now, "event": event.name, "level": event.level, "count": count}
        self._kept.append((what, about | event_fields(event)))

    def __call__(self) -> Sequence[Mapping[str, object]]:
        """Newest last: `at` (ISO 8601, of the last repetition), `event`, `level`, `count`, and the event's fields."""
        return [shown for _, shown in self._kept]
