"""What the fast path reports of its responses: audit and spans get the same as on the long way."""

from __future__ import annotations

import pytest

from sidecar.core.model import Secret, token_id_of
from sidecar.core.process_events import Audited, RequestServed
from sidecar.core.trace_context import TraceContext, trace_context
from tests.fast_path.fast_path_alone import TCP, Client, FastPathAlone
from tests.fast_path.requests import DROPPED_LINES, SPAN, TRACE, TRACEPARENTS, USUAL, request, with_line

PLAIN = request(b"/v1/token", *USUAL)
SAMPLED, UNSAMPLED = (TraceContext(TRACE.decode(), SPAN.decode(), sampled=sampled) for sampled in (True, False))
STRICT = [line for line in TRACEPARENTS if line.partition(b": ")[2].strip(b" ") == line.partition(b":")[2][1:] != b""
          and b"\r" not in line]  # fmt: skip
ODD = [line for line in TRACEPARENTS if line not in STRICT]
FIRST, NEXT = (token_id_of(Secret(f"default-token-{number}")) for number in range(2))


def audited(token_id: str, trace: TraceContext | None) -> Audited:
    return Audited(
        profile="default", endpoint="token", caller=Client.caller, token_id=token_id, outcome="ok", trace=trace
    )


def observed(*lines: bytes) -> tuple[list[Audited], list[TraceContext | None]]:
    """Return the audit of a known request with these lines, and the traces of its spans."""
    alone = FastPathAlone(audit=True, spans=True)
    alone.store(PLAIN)
    head = PLAIN
    for line in lines:
        head = with_line(head, line, 1)
    alone.response_to(head)
    return alone.audit.of(Audited), [event.trace for event in alone.spans.of(RequestServed)]


def test_each_response_is_audited_with_its_token() -> None:
    alone = FastPathAlone(audit=True)
    alone.store(PLAIN)
    assert alone.audit.events == []
    for _ in range(2):
        alone.response_to(PLAIN)
    alone.provider.issue(1)
    alone.response_to(PLAIN)
    assert alone.audit.events == [audited(FIRST, None), audited(FIRST, None), audited(NEXT, None)]


def test_requests_without_a_fast_response_are_not_audited_counted_or_traced() -> None:
    alone = FastPathAlone(audit=True, spans=True)
    alone.store(PLAIN)
    alone.provider.withdraw()
    assert alone.find(with_line(PLAIN, TRACEPARENTS[0], 0)) is None
    assert (alone.audit.events, alone.spans.events, alone.tally.counted) == ([], [], [])


def test_a_request_without_a_trace_makes_no_span() -> None:
    assert observed() == ([audited(FIRST, None)], [])
    assert observed(b"tracestate: a=1", b"b3: 1", b"X-Trace-Id: 1") == ([audited(FIRST, None)], [])


@pytest.mark.parametrize("line", STRICT)
def test_a_trace_is_read_as_on_the_long_way(line: bytes) -> None:
    trace = trace_context([line.partition(b": ")[2].decode()])
    assert observed(line) == ([audited(FIRST, trace)], [trace] if trace else [])


def test_the_samples_have_valid_and_invalid_traces() -> None:
    traces = [observed(line)[1] for line in STRICT]
    assert [SAMPLED] in traces
    assert [UNSAMPLED] in traces
    assert [] in traces


def test_the_span_equals_that_of_the_long_way() -> None:
    alone = FastPathAlone(spans=True)
    alone.store(PLAIN)
    alone.response_to(with_line(PLAIN, TRACEPARENTS[0], 0))
    (event,) = alone.spans.of(RequestServed)
    assert (event.profile, event.endpoint, event.code, event.trace) == ("default", "token", "ok", SAMPLED)
    assert event.duration_s >= 0


@pytest.mark.parametrize("second", DROPPED_LINES[:2])
def test_several_traces_count_as_none(second: bytes) -> None:
    assert observed(TRACEPARENTS[0], second) == ([audited(FIRST, None)], [])


@pytest.mark.parametrize("line", ODD)
@pytest.mark.parametrize(("audit", "spans"), [(True, False), (False, True)])
def test_a_trace_in_another_form_is_left_to_the_long_way(line: bytes, audit: bool, spans: bool) -> None:
    """Also beside one in the strict form: aiohttp would read both."""
    alone = FastPathAlone(audit=audit, spans=spans)
    for head in (PLAIN, with_line(PLAIN, TRACEPARENTS[0], 0), with_line(PLAIN, TRACEPARENTS[0], 2)):
        for place in (0, 1, 2, 3):
            assert alone.fast_path.key_of(with_line(head, line, place), TCP) is None


def test_the_samples_have_both_kinds_of_forms() -> None:
    assert len(STRICT) >= 6
    assert len(ODD) >= 5
