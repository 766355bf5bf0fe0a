"""The trace that a request belongs to: W3C Trace Context, https://www.w3.org/TR/trace-context/#traceparent-header"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_SAMPLED = 1


@dataclass(frozen=True, slots=True)
class TraceContext:
    """32 and 16 hex digits, in lower case; `parent_id` is the caller's span, `sampled` whether that is recorded."""

    trace_id: str
    parent_id: str
    sampled: bool


def trace_context(traceparent: Sequence[str]) -> TraceContext | None:
    """Read the header's values, of which there may be one; None where it is missing or not in its form.

    Nothing else of the header is shown, because a caller can put any text into it.
    """
    form = _FORM.fullmatch(traceparent[0]) if len(traceparent) == 1 else None
    # A later version may have more fields after a dash, the first one may not.
    if form is None or (form[1] == "00" and form[5]):
        return None
    return TraceContext(form[2], form[3], bool(int(form[4], 16) & _SAMPLED))
