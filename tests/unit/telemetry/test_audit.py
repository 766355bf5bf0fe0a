"""The audit's lines: every one, or the changes alone; never more than the mode says."""

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
from sidecar.telemetry.throttle import MAX_THINGS
from tests.support.vendor import FixedClock


class Book:
    """An audit and what it wrote."""

    def __init__(self, mode: str) -> None:
        self.stream, self.clock = io.StringIO(), FixedClock()
        self.audit = Audit("all" if mode == "all" else "changes", "json", self.stream.write, Redactor(), self.clock)

    def vended(self, caller: str, token_id: str = "t1", profile: str = "default", outcome: Outcome = "ok") -> None:
        told = Audited(profile=profile, endpoint="token", caller=caller, token_id=token_id, outcome=outcome)
        self.audit.emit(told)

    def reported(self, caller: str, token_id: str = "t1", verdict: Outcome = "refreshing") -> None:
        told = Audited(profile="default", endpoint="rejected", caller=caller, token_id=token_id, outcome=verdict)
        self.audit.emit(told)

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]

    def told(self, *names: str) -> list[tuple[object, ...]]:
        """These fields of each line."""
        return [tuple(line.get(name) for name in names) for line in self.lines]


@pytest.fixture
def every() -> Book:
    return Book("all")


@pytest.fixture
def changes() -> Book:
    return Book("changes")


def test_a_line_says_when_who_got_which_token_and_how_good_it_was(every: Book) -> None:
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


def test_all_tells_every_token_and_every_report(every: Book) -> None:
    for _ in range(3):
        every.vended("uid:1000")
        every.reported("uid:1000")
    assert len(every.lines) == 6


CALLERS = ("uid:1000", "127.0.0.1:1", "127.0.0.1:2", "[::1]:1")


@pytest.mark.parametrize("mode", ["all", "changes"])
def test_what_is_said_to_be_told_already_brings_no_line(mode: str) -> None:
    """And the changes say it of all that they would not tell, as long as they tell the callers apart."""
    book = Book(mode)
    for caller, token_id, profile in product(CALLERS * 2, ("t1", "t2", "t1"), ("default", "other")):
        before = len(book.lines)
        is_told = book.audit.is_told(profile, token_id, caller)
        book.vended(caller, token_id, profile)
        assert is_told == (len(book.lines) == before)
    assert book.audit.is_told("other", "t1", CALLERS[-1]) == (mode == "changes")


def test_a_caller_beyond_those_that_are_told_apart_is_never_said_to_be_told(changes: Book) -> None:
    for number in range(MAX_CALLERS + 1):
        changes.vended(f"uid:{number}")
    assert [changes.audit.is_told("default", "t1", f"uid:{number}") for number in (0, MAX_CALLERS)] == [True, False]


def test_other_events_are_not_the_audits(every: Book) -> None:
    every.audit.emit(RequestServed(endpoint="token", code="ok", duration_s=0.1))
    assert every.lines == []


def test_changes_tells_a_callers_first_of_each_token(changes: Book) -> None:
    for token_id in ("t1", "t2"):
        for _ in range(3):
            changes.vended("uid:1000", token_id)
            changes.vended("uid:1001", token_id)
    assert changes.told("caller", "token_id") == [
        ("uid:1000", "t1"), ("uid:1001", "t1"), ("uid:1000", "t2"), ("uid:1001", "t2"),
    ]  # fmt: skip


def test_a_new_connection_makes_no_new_caller(changes: Book) -> None:
    changes.vended("10.0.0.1:50001")
    changes.vended("10.0.0.1:50002")
    changes.vended("10.0.0.2:50002")
    changes.vended("[::1]:50002")
    changes.vended("[::1]:50003")
    assert changes.told("caller") == [("10.0.0.1:50001",), ("10.0.0.2:50002",), ("[::1]:50002",)]


def test_the_same_caller_of_another_profile_is_told(changes: Book) -> None:
    changes.vended("uid:1000")
    changes.vended("uid:1000", profile="other")
    changes.vended("uid:1000")
    assert changes.told("profile") == [("default",), ("other",)]


def test_a_report_made_again_is_counted_and_another_is_told_at_once(changes: Book) -> None:
    for _ in range(300):
        changes.reported("uid:1000")
    changes.reported("uid:1001")
    changes.reported("uid:1000", "t2")
    changes.reported("uid:1000", verdict="later")
    changes.clock.passed_s = 10
    changes.reported("uid:1000")
    assert changes.told("suppressed") == [(None,), (None,), (None,), (None,), (299,)]


def test_more_callers_than_are_remembered_share_a_line_in_ten_seconds(changes: Book) -> None:
    for number in range(MAX_CALLERS + 500):
        changes.vended(f"uid:{number}")
    assert len(changes.lines) == MAX_CALLERS + 1
    changes.clock.passed_s = 10
    changes.vended("uid:100000")
    assert changes.lines[-1]["suppressed"] == 499


def test_the_memory_of_callers_goes_with_the_token(changes: Book) -> None:
    for token_id in range(20):
        for number in range(MAX_CALLERS + 500):
            changes.vended(f"uid:{number}", str(token_id))
    (holders,) = changes.audit._holders.values()
    assert len(holders.callers) == MAX_CALLERS


def test_a_flood_of_reports_from_callers_made_up_is_bounded_in_lines_and_memory(changes: Book) -> None:
    for number in range(20_000):
        changes.reported(f"127.0.{number // 250}.{number % 250}:50000", verdict="already-replaced")
    assert len(changes.lines) == MAX_THINGS + 1
    assert len(changes.audit._throttle._told) == MAX_THINGS + 1


def test_what_has_been_quiet_makes_room_for_who_comes_later(changes: Book) -> None:
    for number in range(MAX_THINGS + 10):
        changes.reported(f"uid:{number}")
    changes.clock.passed_s = 10
    changes.reported("uid:5000")
    changes.reported("uid:5001")
    assert changes.told("caller", "suppressed")[-2:] == [("uid:5000", None), ("uid:5001", None)]


@pytest.mark.parametrize("token_id", ["t1", ""])
@pytest.mark.parametrize("log_format", ["json", "console"])
@pytest.mark.parametrize("trace", [None, TraceContext("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", True)])
def test_a_line_is_the_one_that_the_log_would_write(
    log_format: LogFormat, trace: TraceContext | None, token_id: str
) -> None:
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
