"""Keeps one thing that happens on and on, or that a caller can make happen, from filling the log."""

from __future__ import annotations

from collections.abc import Hashable

from sidecar.core.events import Event, StoreFailed, TokenReported
from sidecar.core.model import MonotonicTime, Seconds
from sidecar.core.ports import Clock
from sidecar.core.request_events import LimitHit, MalformedRequest, RequestRefused
from sidecar.core.token_file_events import TokenFileChanged, TokenFileFailed

QUIET_S: Seconds = 10
MAX_THINGS = 256
"""So many things are told apart at a time."""

_ANYTHING_ELSE = "anything else"


def repeated_as(event: Event) -> Hashable | None:
    """What two events have in common that tell the same thing again; None: each such event is news."""
    match event:
        case StoreFailed():
            return event.name, event.profile, event.operation
        case TokenFileFailed():
            return event.name, event.profile, event.cause, event.old_token_left
        case TokenFileChanged():
            return event.name, event.profile, event.change
        case MalformedRequest():
            return event.name, event.cause
        case LimitHit():
            return event.name, event.listener, event.limit
        case RequestRefused():
            return event.name, event.code
        case TokenReported() if event.verdict == "refreshing":
            # Each token's first one leads to a call; whoever goes on reporting it adds nothing.
            return event.name, event.profile, event.verdict, event.token_id
        case TokenReported():
            return event.name, event.profile, event.verdict
    return None


class Repetition:
    """Says which repetitions of a thing are told: one in `QUIET_S`, the first among them.

    While `MAX_THINGS` of them happen within `QUIET_S`, all further ones count as one thing: what callers make up does
    not grow this memory, nor the log. A thing that has been quiet is forgotten when the room is needed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._told: dict[Hashable, tuple[MonotonicTime, int]] = {}

    def tell(self, what: Hashable) -> int | None:
        """None when this one is not told; else how many were left out since the last one that was."""
        now = self._clock.monotonic()
        if what not in self._told and len(self._told) >= MAX_THINGS:
            self._told = {thing: told for thing, told in self._told.items() if now - told[0] < QUIET_S}
            if len(self._told) >= MAX_THINGS:
                what = _ANYTHING_ELSE
        told_at, left_out = self._told.get(what, (now - QUIET_S, 0))
        if now - told_at < QUIET_S:
            self._told[what] = (told_at, left_out + 1)
            return None
        self._told[what] = (now, 0)
        return left_out
