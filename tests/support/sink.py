"""Event sinks that keep the events."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TypeVar

from sidecar.core.events import Event

E = TypeVar("E", bound=Event)


class ListSink:
    def __init__(self) -> None:
        self.events: list[Event] = []
        self.timed: list[tuple[float, Event]] = []
        """Each event with the time of the running loop, if there is one."""

    def emit(self, event: Event) -> None:
        self.events.append(event)
        with contextlib.suppress(RuntimeError):
            self.timed.append((asyncio.get_running_loop().time(), event))

    def of(self, kind: type[E]) -> list[E]:
        return [event for event in self.events if isinstance(event, kind)]


class ListAudit(ListSink):
    """An audit that takes every event."""

    def is_told(self, profile: str, token_id: str, caller: str) -> bool:
        return False
