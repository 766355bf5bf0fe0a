"""Keeps events that repeat all the time, or that a caller can cause, from filling the log."""

from __future__ import annotations

from collections.abc import Hashable

from sidecar.core.events import Event, PartnerClockDiffers, StoreFailed, TokenReported
from sidecar.core.model import MonotonicTime, Seconds
from sidecar.core.ports import Clock
from sidecar.core.process_events import (
    LimitHit,
    MalformedRequest,
    RequestRefused,
    SignedRequestRefused,
    TokenFileChanged,
    TokenFileFailed,
)

QUIET_S: Seconds = 10
MAX_KEYS = 256
"""The most keys that are kept at a time."""
_OTHER_KEYS = "other keys"


def repeated_as(event: Event | str) -> Hashable | None:
    """Return a key that is equal for events that repeat each other; None: such events are never repetitions."""
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
        case PartnerClockDiffers() | SignedRequestRefused():
            return event.name, event.profile
        case RequestRefused():
            return event.name, event.code
        case TokenReported() if event.verdict == "refreshing":
            # The first report of each token leads to a call; further reports of it add nothing.
            return event.name, event.profile, event.verdict, event.token_id
        case TokenReported():
            return event.name, event.profile, event.verdict
    return None


class Throttle:
    """Decides which repetitions of a key are written: the first, then one in `QUIET_S`.

    While `MAX_KEYS` keys occur within `QUIET_S`, all further keys count as one, so that callers cannot grow this
    memory or the log. Keys that did not occur for `QUIET_S` are removed when the space is needed.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._written: dict[Hashable, tuple[MonotonicTime, int]] = {}
        """When each key was written last, and the number of repetitions omitted since."""

    def admit(self, key: Hashable) -> int | None:
        """Return the number of repetitions omitted since the last written one; None when this one is not written."""
        now = self._clock.monotonic()
        if key not in self._written and len(self._written) >= MAX_KEYS:
            self._written = {kept: written for kept, written in self._written.items() if now - written[0] < QUIET_S}
            if len(self._written) >= MAX_KEYS:
                key = _OTHER_KEYS
        written_at, omitted = self._written.get(key, (now - QUIET_S, 0))
        if now - written_at < QUIET_S:
            self._written[key] = (written_at, omitted + 1)
            return None
        self._written[key] = (now, 0)
        return omitted
