"""Converts an event to the flat, plain values of a log line or the status page."""

from __future__ import annotations

from dataclasses import fields
from enum import Enum

from sidecar.core.errors import PartnerDetail
from sidecar.core.events import Event
from sidecar.core.model import Seconds
from sidecar.core.timestamps import iso
from sidecar.core.trace_context import TraceContext


def event_fields(event: Event, *, later_s: Seconds = 0) -> dict[str, object]:
    """Return the event's fields by name, without empty ones.

    Enums become text, times (`…_at`) ISO 8601, a `PartnerDetail` its four fields, a `TraceContext` its two ids.
    `later_s` is added to the times, because the clock may have been set after the event.
    """
    found: dict[str, object] = {}
    for field in fields(event):
        name, value = field.name, getattr(event, field.name)
        if isinstance(value, PartnerDetail):
            found |= {
                "partner_status": value.status,
                "error_code": value.error_code,
                "error_message": value.error_message,
                "session_id": value.session_id,
            }
        elif isinstance(value, TraceContext):
            found |= {"trace_id": value.trace_id, "parent_id": value.parent_id}
        elif isinstance(value, Enum):
            found[name] = value.value
        elif name.endswith("_at"):
            found[name] = iso(value + later_s)
        else:
            found[name] = round(value, 6) if isinstance(value, float) else value
    return {name: value for name, value in found.items() if value not in (None, "", ())}
