"""`traceparent` in the form of W3C Trace Context, and no other form."""

from __future__ import annotations

import pytest

from sidecar.core.trace_context import TraceContext, trace_context

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


@pytest.mark.parametrize(
    ("value", "sampled"),
    [
        (f"00-{TRACE}-{SPAN}-01", True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-fe", False),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"cc-{TRACE}-{SPAN}-01", True),
        (f"cc-{TRACE}-{SPAN}-01-what the future brings", True),
    ],
)
def test_a_valid_header_is_read(value: str, sampled: bool) -> None:
    assert trace_context([value]) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize(
    "values",
    [
        [],
        [f"00-{TRACE}-{SPAN}-01"] * 2,
        [""],
        [f"00-{TRACE}-{SPAN}"],
        [f"00-{TRACE}-{SPAN}-01-"],
        [f"00-{TRACE}-{SPAN}-01-more"],
        [f"ff-{TRACE}-{SPAN}-01"],
        [f"00-{'0' * 32}-{SPAN}-01"],
        [f"00-{TRACE}-{'0' * 16}-01"],
        [f"00-{TRACE.upper()}-{SPAN}-01"],
        [f"00-{TRACE[1:]}-{SPAN}-01"],
        [f"00-{TRACE}-{SPAN}-01\n"],
        [f"cc-{TRACE}-{SPAN}-01-a\nb"],
        [f"00-{TRACE}-{SPAN}-0\N{ARABIC-INDIC DIGIT ONE}"],
    ],
)
def test_an_invalid_header_is_no_trace(values: list[str]) -> None:
    assert trace_context(values) is None
