"""One sink that passes each event to several sinks."""

from __future__ import annotations

from collections.abc import Sequence

from sidecar.core.events import Event
from sidecar.core.ports import EventSink


class Fanout:
    """Passes each event to every sink, in their order."""

    def __init__(self, sinks: Sequence[EventSink]) -> None:
        self._sinks = tuple(sinks)

    def emit(self, event: Event) -> None:
        for sink in self._sinks:
            sink.emit(event)
