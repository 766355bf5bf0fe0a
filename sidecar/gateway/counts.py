"""What one gateway has done since the sidecar's start, for `/status.json`."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from sidecar.core.events import Event
from sidecar.core.process_events import GatewayCalled
from sidecar.telemetry.gateway import SIGNS_UNTIL_S

_OUTCOMES: Mapping[str, str] = MappingProxyType(
    {
        "partner-unreachable": "unreachable",
        "partner-outcome-unknown": "outcomeUnknown",
        "gateway-not-allowed": "notAllowed",
    }
)
"""The field of each error code that is counted apart from all others."""


class GatewayCounts:
    """An event sink that counts the calls of one gateway."""

    def __init__(self) -> None:
        self._requests = dict.fromkeys(("answered", *_OUTCOMES.values(), "otherErrors"), 0)
        self._bad_requests = {"upTo300Seconds": 0, "over300Seconds": 0}

    def emit(self, event: Event) -> None:
        if not isinstance(event, GatewayCalled):
            return
        self._requests["answered" if event.status else _OUTCOMES.get(event.code, "otherErrors")] += 1
        if event.signed and event.status == 400:
            self._bad_requests["over300Seconds" if event.token_age_s > SIGNS_UNTIL_S else "upTo300Seconds"] += 1

    def document(self) -> dict[str, object]:
        """Return the counts as fields of `/status.json`."""
        return {"requests": dict(self._requests), "signedBadRequests": dict(self._bad_requests)}
