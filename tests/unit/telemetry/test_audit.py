"""The audit's lines: all, or the changes alone, and never more than the mode allows."""

from __future__ import annotations

import io
import json
from itertools import product

import pytest

from sidecar.core.model import Secret
from sidecar.core.process_events import Audited, Outcome, RequestServed
from sidecar.core.trace_context import TraceContext
from sidecar.telemetry.audit import MAX_CALLERS, Audit
from sidecar.telemetry.log import LogFormat, LogSink
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.throttle import MAX_KEYS
from tests.support.fake_provider import FixedClock


class WrittenAudit:
    """An audit and its lines."""

    def __init__(self, mode: str) -> None:
        self.stream, self.clock = io.StringIO(), FixedClock()
        self.audit = Audit("all" if mode == "all" else "changes", "json", self.stream.write, Redactor(), self.clock)

    def vended(self, caller: str, token_id: str = "t1", profile: str = "default", outcome: Outcome = "ok") -> None:
        event = Audited(profile=profile, endpoint="token", caller=caller, token_id=token_id, outcome=outcome)
        self.audit.emit(event)

    def signed(self, caller: str, token_id: str = "t1") -> None:
        self.audit.emit(Audited(profile="default", endpoint="sign", caller=caller, token_id=token_id, outcome="ok"))

    def reported(self, caller: str, token_id: str = "t1", verdict: Outcome = "refreshing") -> None:
        event = Audited(profile="default", endpoint="rejected", caller=caller, token_id=token_id, outcome=verdict)
        self.audit.emit(event)

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def fields(self, *names: str) -> list[tuple[object, ...]]:
        """Return these fields of each line."""
        return [tuple(line.get(name) for name in names) for line in self.lines]


@pytest.fixture
def every() -> WrittenAudit:
    return WrittenAudit("all")


@pytest.fixture
def changes() -> WrittenAudit:
    return WrittenAudit("changes")


def test_a_line_has_the_time_the_caller_the_token_and_its_state(every: WrittenAudit) -> None:
    every.vended("uid:1000", outcome="suspect")
    assert every.lines == [
        {
            "timestamp": "2026-01-01T00:00:00.000Z",
            "level": "info",
            "event": "audit",
            "profile": "default",
            "endpoint": "token",
            "caller": "uid:1000",
            "token_id": "t1",
            "outcome": "suspect",
        }
    ]


def test_all_writes_every_token_and_every_report(every: WrittenAudit) -> None:
    for _ in range(3):
        every.vended("uid:1000")
        every.reported("uid:1000")
    assert len(every.lines) == 6


CALLERS = ("uid:1000", "127.0.0.1:1", "127.0.0.1:2", "[::1]:1")


@pytest.mark.parametrize("mode", ["all", "changes"])
def test_is_told_returns_whether_an_event_would_write_no_line(mode: str) -> None:
    """The mode `changes` detects each such event, as long as it counts the callers separately."""
    written = WrittenAudit(mode)
    for caller, token_id, profile in product(CALLERS * 2, ("t1", "t2", "t1"), ("default", "other")):
        before = len(written.lines)
        is_told = written.audit.is_told(profile, token_id, caller)
        written.vended(caller, token_id, profile)
        assert is_told == (len(written.lines) == before)
    assert written.audit.is_told("other", "t1", CALLERS[-1]) == (mode == "changes")


def test_is_told_is_false_for_callers_beyond_the_most_that_are_counted_separately(changes: WrittenAudit) -> None:
    for number in range(MAX_CALLERS + 1):
        changes.vended(f"uid:{number}")
    assert [changes.audit.is_told("default", "t1", f"uid:{number}") for number in (0, MAX_CALLERS)] == [True, False]


def test_other_events_write_no_line(every: WrittenAudit) -> None:
    every.audit.emit(RequestServed(endpoint="token", code="ok", duration_s=0.1))
    assert every.lines == []


def test_changes_writes_a_callers_first_request_of_each_token(changes: WrittenAudit) -> None:
    for token_id in ("t1", "t2"):
        for _ in range(3):
            changes.vended("uid:1000", token_id)
            changes.vended("uid:1001", token_id)
    assert changes.fields("caller", "token_id") == [
        ("uid:1000", "t1"), ("uid:1001", "t1"), ("uid:1000", "t2"), ("uid:1001", "t2"),
    ]  # fmt: skip


def test_changes_writes_a_callers_first_signature_whether_it_got_the_token_before_or_not(
    changes: WrittenAudit,
) -> None:
    changes.vended("uid:1")
    for _ in range(2):
        changes.signed("uid:1")
        changes.signed("uid:2")
    changes.vended("uid:2")
    changes.signed("uid:1", "t2")
    assert changes.fields("endpoint", "caller", "token_id") == [
        ("token", "uid:1", "t1"),
        ("sign", "uid:1", "t1"),
        ("sign", "uid:2", "t1"),
        ("token", "uid:2", "t1"),
        ("sign", "uid:1", "t2"),
    ]


def test_a_new_connection_makes_no_new_caller(changes: WrittenAudit) -> None:
    changes.vended("10.0.0.1:50001")
    changes.vended("10.0.0.1:50002")
    changes.vended("10.0.0.2:50002")
    changes.vended("[::1]:50002")
    changes.vended("[::1]:50003")
    assert changes.fields("caller") == [("10.0.0.1:50001",), ("10.0.0.2:50002",), ("[::1]:50002",)]


def test_the_same_caller_of_another_profile_is_written(changes: WrittenAudit) -> None:
    changes.vended("uid:1000")
    changes.vended("uid:1000", profile="other")
    changes.vended("uid:1000")
    assert changes.fields("profile") == [("default",), ("other",)]


def test_a_repeated_report_is_counted_and_a_new_one_is_written_at_once(changes: WrittenAudit) -> None:
    for _ in range(300):
        changes.reported("uid:1000")
    changes.reported("uid:1001")
    changes.reported("uid:1000", "t2")
    changes.reported("uid:1000", verdict="later")
    changes.clock.passed_s = 10
    changes.reported("uid:1000")
    assert changes.fields("suppressed") == [(None,), (None,), (None,), (None,), (299,)]


def test_callers_beyond_the_separately_counted_ones_share_a_line_in_ten_seconds(changes: WrittenAudit) -> None:
    for number in range(MAX_CALLERS + 500):
        changes.vended(f"uid:{number}")
    assert len(changes.lines) == MAX_CALLERS + 1
    changes.clock.passed_s = 10
    changes.vended("uid:100000")
    assert changes.lines[-1]["suppressed"] == 499


def test_the_counted_callers_are_removed_with_the_token(changes: WrittenAudit) -> None:
    for token_id in range(20):
        for number in range(MAX_CALLERS + 500):
            changes.vended(f"uid:{number}", str(token_id))
    (holders,) = changes.audit._holders.values()
    assert len(holders.callers) == MAX_CALLERS


def test_a_flood_of_reports_from_invented_callers_is_bounded_in_lines_and_memory(changes: WrittenAudit) -> None:
    for number in range(20_000):
        changes.reported(f"127.0.{number // 250}.{number % 250}:50000", verdict="already-replaced")
    assert len(changes.lines) == MAX_KEYS + 1
    assert len(changes.audit._throttle._written) == MAX_KEYS + 1


def test_keys_without_recent_events_are_removed_for_new_ones(changes: WrittenAudit) -> None:
    for number in range(MAX_KEYS + 10):
        changes.reported(f"uid:{number}")
    changes.clock.passed_s = 10
    changes.reported("uid:5000")
    changes.reported("uid:5001")
    assert changes.fields("caller", "suppressed")[-2:] == [("uid:5000", None), ("uid:5001", None)]


@pytest.mark.parametrize("token_id", ["t1", ""])
@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("trace", [None, TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True)])
def test_a_line_equals_that_of_the_log(log_format: LogFormat, trace: TraceContext | None, token_id: str) -> None:
    """The audit has its own processors, which are faster."""
    event = Audited(profile="p", endpoint="rejected", caller="[::1]:1", token_id=token_id, outcome="later", trace=trace)
    audit, log, clock = io.StringIO(), io.StringIO(), FixedClock()
    sink = LogSink(log_format, "info", log.write, Redactor(), clock)
    audited = Audit("changes", log_format, audit.write, Redactor(), clock)
    for _ in range(7):
        audited.emit(event)
    sink.write("info", event)
    clock.passed_s = 10
    audited.emit(event)
    sink.write("info", event, {"suppressed": 6})
    assert audit.getvalue() == log.getvalue()


@pytest.mark.parametrize("log_format", ["json", "console"])
def test_a_registered_secret_is_masked_in_the_audit_too(log_format: LogFormat) -> None:
    stream, redactor = io.StringIO(), Redactor()
    redactor.register(Secret("CANARY"))
    event = Audited(profile="CANARY", endpoint="token", caller="CANARY", token_id="CANARY", outcome="ok")
    Audit("all", log_format, stream.write, redactor, FixedClock()).emit(event)
    assert stream.getvalue().count("***") == 3
    assert "CANARY" not in stream.getvalue()
