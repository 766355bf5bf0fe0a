"""The log: a chain of structlog's processors turns events, and the records of libraries, into lines.

A line has `timestamp` (ISO 8601, UTC), `level`, `event` (the event's constant name) and then the event's fields.
Processors keep that order: they change the values of a line's dict and add to its end.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from enum import Enum
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import msgspec
from structlog import DropEvent
from structlog.dev import ConsoleRenderer, plain_traceback
from structlog.typing import EventDict, Processor

from sidecar.core.errors import PartnerDetail
from sidecar.core.events import Event, Level
from sidecar.core.model import Seconds, UtcTime
from sidecar.core.ports import Clock
from sidecar.core.timestamps import iso
from sidecar.core.trace_context import TraceContext
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.throttle import Throttle, repeated_as

LogFormat: TypeAlias = Literal["json", "console"]
_HEAD = ("timestamp", "level", "event")
_RANKS: dict[Level, int] = {
    "debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR,
}  # fmt: skip


class LineLogger:
    """Runs the processors, of which the last returns text, and writes the line.

    They are called directly: structlog's bound loggers would add a third to the time of an audit line.
    """

    def __init__(self, write_line: Callable[[str], object], *processors: Processor) -> None:
        self._write_line = write_line
        self._processors = processors

    def write(self, level: Level, event: Event | str, fields: Mapping[str, object] | None = None) -> None:
        """Write one line, unless a processor drops it."""
        try:
            line = self.line(level, event, fields)
        except DropEvent:
            return
        self._write_line(line)

    def line(self, level: Level, event: Event | str, fields: Mapping[str, object] | None = None) -> str:
        """Return the line with its line end, without writing it. Raises `DropEvent`."""
        line: Any = {"timestamp": "", "level": level, "event": event}
        if fields:
            line.update(fields)
        for process in self._processors:
            line = process(None, level, line)
        return f"{line}\n"


class LogSink(LineLogger):
    """Writes one line for each event of at least `level`.

    Repetitions (`repeated_as`) are written once in ten seconds, with the number of lines omitted (`suppressed`).
    """

    def __init__(
        self,
        log_format: LogFormat,
        level: Level,
        write_line: Callable[[str], object],
        redactor: Redactor,
        clock: Clock,
    ) -> None:
        super().__init__(write_line, throttled(clock), flat, stamped(clock), redacted(redactor), renderer(log_format))
        self.threshold = _RANKS[level]

    def emit(self, event: Event) -> None:
        # Checked before the processors: a request costs no more than this line when its level is off.
        if _RANKS[event.level] >= self.threshold:
            self.write(event.level, event)


def throttled(clock: Clock) -> Processor:
    """Drop repetitions of events."""
    throttle = Throttle(clock)

    def process(_logger: object, _level: str, line: EventDict) -> EventDict:
        key = repeated_as(line["event"])
        if key is not None:
            suppressed = throttle.admit(key)
            if suppressed is None:
                raise DropEvent
            if suppressed:
                line["suppressed"] = suppressed
        return line

    return process


def flat(_logger: object, _level: str, line: EventDict) -> EventDict:
    """Replace an event by its name and its fields. What the line had before comes last."""
    event = line["event"]
    if isinstance(event, Event):
        line["event"] = event.name
        suppressed = line.pop("suppressed", None)
        line.update(event_fields(event))
        if suppressed is not None:
            line["suppressed"] = suppressed
    return line


def event_fields(event: Event, *, later_s: Seconds = 0) -> dict[str, object]:
    """Return the event's fields by name, without empty ones.

    Enums become text, times (`…_at`) ISO 8601, a `PartnerDetail` its four fields, a `TraceContext` its two ids.
    `later_s` is added to the times, because the clock may have been set after the event.
    """
    found: dict[str, object] = {}
    for field in dataclasses.fields(event):
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


def stamped(clock: Clock) -> Processor:
    """Set the timestamp."""

    def process(_logger: object, _level: str, line: EventDict) -> EventDict:
        line["timestamp"] = timestamp(clock.wall())
        return line

    return process


def redacted(redactor: Redactor) -> Processor:
    """Mask secrets in the fields, and turn their values into plain ones."""

    def process(_logger: object, _level: str, line: EventDict) -> EventDict:
        head = {name: line.pop(name) for name in _HEAD}
        return head | redactor.mapping(line)

    return process


def renderer(log_format: LogFormat) -> Processor:
    """Return the processor that turns a line's dict into text."""
    if log_format == "json":
        return _as_json
    # The default formatter shows the values of frame locals. No event carries a traceback today; this is a precaution.
    return ConsoleRenderer(colors=False, exception_formatter=plain_traceback)


def _as_json(_logger: object, _level: str, line: EventDict) -> str:
    try:
        return msgspec.json.encode(line).decode()
    except UnicodeEncodeError:
        # A lone surrogate, as in the name of a file that is not UTF-8: this encoder writes it as an escape.
        return json.dumps(line)


def timestamp(at: UtcTime) -> str:
    """Return ISO 8601 in UTC, with milliseconds."""
    return _millisecond(round(at * 1_000_000) // 1000)


@lru_cache(maxsize=1)
def _millisecond(at_ms: int) -> str:
    # Cached: a busy audit writes several lines in a millisecond.
    return datetime.fromtimestamp(at_ms / 1000, UTC).replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"


_OF_TRACES = "opentelemetry."
_HTTP_STATUSES = range(100, 600)


class LibraryLogs(logging.Handler):
    """Turns each record into a line `library_message`: logger, level, place in the source, and the exception's class.

    Not its text, which may quote a request or an address. OpenTelemetry's exporter puts the collector's HTTP status and
    the exception into the record's arguments.
    """

    def __init__(self, log: LogSink) -> None:
        super().__init__(max(logging.WARNING, log.threshold))
        self._log = log

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name, "where": f"{record.filename}:{record.lineno}"}
        if record.exc_info and record.exc_info[0] is not None:
            fields["cause"] = record.exc_info[0].__name__
        elif record.name.startswith(_OF_TRACES) and isinstance(record.args, tuple):
            fields |= _cause_in(record.args)
        self._log.write("error" if record.levelno >= logging.ERROR else "warning", "library_message", fields)


def _cause_in(arguments: tuple[object, ...]) -> dict[str, object]:
    """Return the exception's class and the HTTP status in a record's arguments: these quote no request."""
    found: dict[str, object] = {}
    for argument in arguments:
        if isinstance(argument, BaseException):
            found["cause"] = type(argument).__name__
        elif isinstance(argument, int) and argument in _HTTP_STATUSES:
            found["status"] = argument
    return found


def capture_library_logs(log: LogSink) -> Callable[[], None]:
    """Send this process's `logging` records and warnings to `log` alone; return a function that undoes this."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = [LibraryLogs(log)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)

    def release() -> None:
        logging.captureWarnings(False)
        root.handlers = handlers
        root.setLevel(level)

    return release
