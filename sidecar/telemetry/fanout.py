"""One sink that hands each event to several."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.events import Event
from sidecar.core.ports import EventSink


class Fanout:
    """Hands each event to every sink, in their order."""

    def __init__(self, sinks: Sequence[EventSink]) -> None:
        self._sinks = tuple(sinks)

    def emit(self, event: Event) -> None:
        for sink in self._sinks:
            sink.emit(event)
