"""Converts an event to the flat, plain values of a log line or the status page.

One sink that passes each event to several sinks.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from enum import Enum

from sidecar.core.errors import PartnerDetail
from sidecar.core.events import Event
from sidecar.core.model import Seconds
from sidecar.core.ports import EventSink
from sidecar.core.timestamps import iso
from sidecar.core.trace_context import TraceContext


def event_fields(event: Event, *, later_s: Seconds = 0) -> dict[str, object]:
    """Return the event's fields by name, without empty ones.

    Enums become text, times (`…_at`) ISO 8601, a `PartnerDetail` its four fields, a `TraceContext` its two ids.
    `later_s` is added to the times, because the clock may have been set after the event.
    """
    found: dict[str, object] = {}
    for field in fields(event):
        value = getattr(event, field.name)
        if isinstance(value, PartnerDetail):
            found |= _partner_fields(value)
        elif isinstance(value, TraceContext):
            found |= {"trace_id": value.trace_id, "parent_id": value.parent_id}
        else:
            found[field.name] = iso(value + later_s) if field.name.endswith("_at") else _plain(value)
    return {name: value for name, value in found.items() if value not in (None, "", ())}


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, float):
        return round(value, 6)
    return value


def _partner_fields(detail: PartnerDetail) -> dict[str, object]:
    return {
        "partner_status": detail.status,
        "error_code": detail.error_code,
        "error_message": detail.error_message,
        "session_id": detail.session_id,
    }


class Fanout:
    """Passes each event to every sink, in their order."""

    def __init__(self, sinks: Sequence[EventSink]) -> None:
        self._sinks = tuple(sinks)

    def emit(self, event: Event) -> None:
        for sink in self._sinks:
            sink.emit(event)
