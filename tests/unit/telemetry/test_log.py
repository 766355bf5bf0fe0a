"""Events become log lines: one constant name, flat plain fields, no secret."""

from __future__ import annotations

import io
import json
import logging
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sidecar.core.errors import AnswerProblem, FailureKind, PartnerDetail
from sidecar.core.events import (
    Event,
    PartnerCalled,
    ServiceStarted,
    StoreFailed,
    TokenChanged,
    TokenReported,
)
from sidecar.core.model import Lifetime, Operation, Secret
from sidecar.core.process_events import (
    MalformedRequest,
    RequestServed,
    TokenFileChange,
    TokenFileChanged,
    TokenFileFailed,
)
from sidecar.telemetry.log import LibraryLogs, LogSink, capture_library_logs, timestamp
from sidecar.telemetry.redaction import Redactor
from tests.support.fake_provider import NOW, FixedClock

SERVED = RequestServed(profile="default", endpoint="token", code="ok", duration_s=0.000123456789)
FAILED = StoreFailed(profile="default", operation="peek", cause="TimeoutError")


class Log:
    """A log sink and the lines that it wrote."""

    def __init__(self) -> None:
        self.stream, self.clock, self.redactor = io.StringIO(), FixedClock(), Redactor()
        self.sink = LogSink("json", "info", self.stream.write, self.redactor, self.clock)

    @property
    def lines(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in self.stream.getvalue().splitlines()]


@pytest.fixture
def log() -> Log:
    return Log()


def test_an_event_is_one_line_of_json_with_its_constant_name(log: Log) -> None:
    log.sink.emit(
        TokenChanged(
            profile="default",
            token_id="t1",
            fetched=True,
            fence=7,
            issued_at=NOW,
            expires_at=NOW + 900,
            lifetime=Lifetime.ASSUMED,
        )
    )
    assert log.lines == [
        {
            "timestamp": "2026-01-01T00:00:00.000Z",
            "level": "info",
            "event": "token_changed",
            "profile": "default",
            "token_id": "t1",
            "fetched": True,
            "fence": 7,
            "issued_at": "2026-01-01T00:00:00Z",
            "expires_at": "2026-01-01T00:15:00Z",
            "lifetime": "assumed",
        }
    ]


def test_partner_details_are_flat_and_missing_ones_are_omitted(log: Log) -> None:
    detail = PartnerDetail(status=429, session_id="s-1")
    log.sink.emit(
        PartnerCalled(operation=Operation.GRANT, outcome=FailureKind.THROTTLED, duration_s=0.25, detail=detail)
    )
    (line,) = log.lines
    del line["timestamp"]
    assert line == {
        "level": "info",
        "event": "partner_called",
        "operation": "grant",
        "outcome": "throttled",
        "duration_s": 0.25,
        "partner_status": 429,
        "session_id": "s-1",
    }


def test_lists_are_written_as_lists(log: Log) -> None:
    log.sink.emit(
        ServiceStarted(version="1", listen=("a:1", "b:2"), admin_listen=(), store="memory", profiles=("default",))
    )
    assert log.lines[0]["listen"] == ["a:1", "b:2"]
    assert "admin_listen" not in log.lines[0]


def test_requests_are_logged_at_debug_only(log: Log) -> None:
    log.sink.emit(SERVED)
    assert log.lines == []
    stream = io.StringIO()
    LogSink("json", "debug", stream.write, Redactor(), FixedClock()).emit(SERVED)
    assert json.loads(stream.getvalue())["duration_s"] == 0.000123


def test_the_console_format_is_one_readable_line() -> None:
    stream = io.StringIO()
    LogSink("console", "info", stream.write, Redactor(), FixedClock()).emit(FAILED)
    text = stream.getvalue()
    assert text.count("\n") == 1
    assert "store_failed" in text
    assert "operation=peek" in text


def test_every_event_has_a_name_in_snake_case_and_a_known_level() -> None:
    for kind in Event.__subclasses__():
        assert kind.name == kind.name.lower()
        assert kind.name.replace("_", "").isalpha()
        assert kind.level in ("debug", "info", "warning", "error")


def test_a_store_outage_is_logged_every_ten_seconds_with_its_count(log: Log) -> None:
    for _ in range(5):
        log.sink.emit(FAILED)
    log.clock.passed_s = 9.9
    log.sink.emit(FAILED)
    log.clock.passed_s = 10
    log.sink.emit(FAILED)
    assert [line.get("suppressed") for line in log.lines] == [None, 5]


@pytest.mark.parametrize(
    ("event", "another"),
    [
        (MalformedRequest(status=400, cause="BadHttpMessage"), MalformedRequest(status=400, cause="LineTooLong")),
        (
            TokenReported(profile="default", token_id="t1", verdict="already-replaced"),
            TokenReported(profile="default", token_id="t1", verdict="later"),
        ),
        (TokenReported(token_id="t1", verdict="refreshing"), TokenReported(token_id="t2", verdict="refreshing")),
    ],
)
def test_events_that_callers_can_repeat_are_logged_every_ten_seconds(log: Log, event: Event, another: Event) -> None:
    for _ in range(300):
        log.sink.emit(event)
    log.sink.emit(another)
    log.clock.passed_s = 10
    log.sink.emit(event)
    assert [line.get("suppressed") for line in log.lines] == [None, None, 299]


def test_the_first_report_of_each_token_is_always_logged(log: Log) -> None:
    for token_id in ("t1", "t2"):
        log.sink.emit(TokenReported(profile="default", token_id=token_id, verdict="refreshing"))
    assert [line["token_id"] for line in log.lines] == ["t1", "t2"]


def test_the_exception_class_of_a_failed_call_is_logged(log: Log) -> None:
    log.sink.emit(
        PartnerCalled(
            operation=Operation.GRANT, outcome=FailureKind.CONNECT, duration_s=0.1, cause="ClientConnectorSSLError"
        )
    )
    assert log.lines[0]["cause"] == "ClientConnectorSSLError"


def test_the_problem_of_a_malformed_response_is_logged(log: Log) -> None:
    log.sink.emit(
        PartnerCalled(
            operation=Operation.GRANT, outcome=FailureKind.MALFORMED, duration_s=0.1, problem=AnswerProblem.NOT_JSON
        )
    )
    assert (log.lines[0]["outcome"], log.lines[0]["problem"]) == ("malformed", "not-json")


def test_another_operation_is_logged_at_once(log: Log) -> None:
    log.sink.emit(FAILED)
    log.sink.emit(StoreFailed(profile="default", operation="claim", cause="TimeoutError"))
    log.sink.emit(StoreFailed(profile="other", operation="peek", cause="TimeoutError"))
    assert len(log.lines) == 3


def test_a_full_disk_is_logged_once_and_another_problem_at_once(log: Log) -> None:
    for cause in ("ENOSPC", "ENOSPC", "EROFS"):
        log.sink.emit(TokenFileFailed(profile="default", cause=cause, old_token_left=False))
    assert [line["cause"] for line in log.lines] == ["ENOSPC", "EROFS"]
    log.sink.emit(TokenFileFailed(profile="default", cause="EROFS", old_token_left=True))
    assert log.lines[-1]["old_token_left"] is True


def test_two_sidecars_that_write_different_tokens_to_one_file_do_not_fill_the_log(log: Log) -> None:
    changes: tuple[TokenFileChange, ...] = ("content", "content", "removed", "content")
    for change in changes:
        log.sink.emit(TokenFileChanged(profile="default", change=change))
    assert [line["change"] for line in log.lines] == ["content", "removed"]


def test_text_that_cannot_be_encoded_is_written_as_an_escape(log: Log) -> None:
    """An example is the name of a file that is not UTF-8."""
    log.sink.write("info", "test", {"name": "\udcff"})
    assert log.lines[0]["name"] == "\udcff"


def test_secrets_are_masked_by_their_type_name_and_text(log: Log) -> None:
    log.redactor.register(Secret("api-key-CANARY"))
    fields: dict[str, object] = {
        "typed": Secret("CANARY"),
        "Api-Secret": "CANARY",
        "accessToken": "CANARY",
        "text": "key was api-key-CANARY!",
        "nested": {"password": "CANARY", "list": ["api-key-CANARY", ("x", "api-key-CANARY")]},
        "object": {"api-key-CANARY": 1},
        "error": ValueError("api-key-CANARY"),
        "token_id": "kept",
        "count": 3,
    }
    log.sink.write("info", "test", fields)
    assert "CANARY" not in log.stream.getvalue()
    assert (log.lines[0]["text"], log.lines[0]["token_id"], log.lines[0]["count"]) == ("key was ***!", "kept", 3)


def test_a_secret_inside_another_is_masked_with_it(log: Log) -> None:
    log.redactor.register(Secret("inner"))
    log.redactor.register(Secret("outer-inner-CANARY"))
    assert log.redactor.text("outer-inner-CANARY inner") == "*** ***"


def test_a_text_too_short_to_be_a_secret_is_not_masked(log: Log) -> None:
    log.redactor.register(Secret("a"))
    log.redactor.register(Secret(""))
    assert log.redactor.text("banana") == "banana"


@pytest.fixture
def library(log: Log) -> Iterator[logging.Logger]:
    logger = logging.getLogger("library.under.test")
    logger.handlers, logger.propagate = [LibraryLogs(log.sink)], False
    yield logger
    logger.handlers, logger.propagate = [], True


def test_library_records_keep_only_name_place_and_exception_class(log: Log, library: logging.Logger) -> None:
    library.error("text with %s", "CANARY", exc_info=OSError("CANARY"))
    library.warning("CANARY")
    library.info("CANARY")
    assert "CANARY" not in log.stream.getvalue()
    first, second = log.lines
    assert (first["event"], first["logger"], first["level"]) == ("library_message", "library.under.test", "error")
    assert first["cause"] == "OSError"
    assert str(first["where"]).startswith("test_log.py:")
    assert (second["level"], "cause" in second) == ("warning", False)


def test_a_library_warning_is_not_written_where_the_level_is_error(log: Log, library: logging.Logger) -> None:
    library.handlers = [LibraryLogs(LogSink("json", "error", log.stream.write, log.redactor, log.clock))]
    library.warning("CANARY")
    library.error("CANARY")
    assert [line["level"] for line in log.lines] == ["error"]


def test_libraries_and_warnings_write_only_to_the_log_until_they_are_released(log: Log) -> None:
    root = logging.getLogger()
    before = root.handlers, root.level, warnings.showwarning
    release = capture_library_logs(log.sink)
    try:
        assert [type(handler) for handler in root.handlers] == [LibraryLogs]
        warnings.showwarning("CANARY", UserWarning, "file.py", 1)
        logging.getLogger("aiohttp.server").error("CANARY")
    finally:
        release()
    assert (root.handlers, root.level, warnings.showwarning) == before
    assert [line["logger"] for line in log.lines] == ["py.warnings", "aiohttp.server"]
    assert "CANARY" not in log.stream.getvalue()


@given(at=st.integers(0, 4_102_444_800_000_000).map(lambda us: us / 1_000_000))
@example(at=1_767_225_599.9999996)
@example(at=1_767_225_599.9999994)
@example(at=0.0009999999)
def test_a_timestamp_is_the_instant_in_utc_with_its_milliseconds(at: float) -> None:
    assert timestamp(at) == datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
