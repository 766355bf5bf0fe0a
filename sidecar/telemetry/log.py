"""Events as log lines: JSON for machines, or text for people.

The logs of libraries (aiohttp, asyncio, redis), without their texts: those may quote a request or an address.

Library logs while no service runs (`check`, the sandbox). Logger and place only: a text may quote a secret.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from sidecar.core.events import Event, Level
from sidecar.core.model import UtcTime
from sidecar.core.ports import Clock
from sidecar.core.safe_traceback import bare_line
from sidecar.telemetry.event_fields import event_fields
from sidecar.telemetry.line_writer import LineOutput, takes_a_line
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.throttle import Repetition, repeated_as

_RANKS: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LogSink:
    """Writes one line for each event of at least `level`.

    `event` is the event's constant name. The others are `timestamp` (ISO 8601, UTC), `level` and the event's fields.
    Repetitions (`repeated_as`) are written once in ten seconds, with the number of lines omitted (`suppressed`).
    """

    def __init__(
        self, log_format: Literal["json", "console"], level: Level, output: LineOutput, redactor: Redactor, clock: Clock
    ) -> None:
        self._threshold = _RANKS[level]
        self._repetition = Repetition(clock)
        self._output = output
        self._redactor = redactor
        self._clock = clock
        self._render = _for_people() if log_format == "console" else json.dumps

    def emit(self, event: Event) -> None:
        # Checked first: a request costs no more than this line when its level is off.
        if _RANKS[event.level] < self._threshold:
            return
        same = repeated_as(event)
        suppressed = 0 if same is None else self._repetition.tell(same)
        if suppressed is not None:
            told = {"suppressed": suppressed} if suppressed else {}
            self.write(event.level, event.name, event_fields(event) | told)

    def write(self, level: Level, name: str, fields: Mapping[str, object]) -> None:
        """Write one line, unless the level is off."""
        if _RANKS[level] >= self._threshold:
            self._output.write(self.line(level, name, fields))

    def line(self, level: Level, name: str, fields: Mapping[str, object]) -> str:
        """Return the line with its line end, without writing it."""
        head: dict[str, object] = {"timestamp": timestamp(self._clock.wall()), "level": level, "event": name}
        return self._render(head | self._redactor.mapping(fields)) + "\n"


def timestamp(at: UtcTime) -> str:
    """Return ISO 8601 in UTC, with milliseconds."""
    seconds, rest_us = divmod(round(at * 1_000_000), 1_000_000)
    return f"{_second(seconds)}.{rest_us // 1000:03}Z"


@lru_cache(maxsize=1)
def _second(at: int) -> str:
    """Return the seconds part, computed once for all lines of that second."""
    return datetime.fromtimestamp(at, UTC).replace(tzinfo=None).isoformat()


def _for_people() -> Callable[[dict[str, object]], str]:
    # Imported late: production writes JSON and saves the megabyte of this module.
    from structlog.dev import ConsoleRenderer, plain_traceback

    # The default formatter shows the values of frame locals. No event carries a traceback today; this is a precaution.
    render = ConsoleRenderer(colors=False, exception_formatter=plain_traceback)
    return lambda line: str(render(None, str(line["level"]), line))


_OF_TRACES = "opentelemetry."
_HTTP_STATUSES = range(100, 600)


class LibraryLogs(logging.Handler):
    """Turns each record into a line `library_message`: logger, level, place in the source, and the exception's class.

    OpenTelemetry's exporter puts the collector's HTTP status and the exception into the record's arguments.
    """

    def __init__(self, sink: LogSink) -> None:
        super().__init__(logging.WARNING)
        self._sink = sink

    def emit(self, record: logging.LogRecord) -> None:
        fields: dict[str, object] = {"logger": record.name, "where": f"{record.filename}:{record.lineno}"}
        if record.exc_info and record.exc_info[0] is not None:
            fields["cause"] = record.exc_info[0].__name__
        elif record.name.startswith(_OF_TRACES) and isinstance(record.args, tuple):
            fields |= _cause_in(record.args)
        level: Level = "error" if record.levelno >= logging.ERROR else "warning"
        self._sink.write(level, "library_message", fields)


def _cause_in(arguments: tuple[object, ...]) -> dict[str, object]:
    """Return the exception's class and the HTTP status in a record's arguments: these quote no request."""
    found: dict[str, object] = {}
    for argument in arguments:
        if isinstance(argument, BaseException):
            found["cause"] = type(argument).__name__
        elif isinstance(argument, int) and argument in _HTTP_STATUSES:
            found["status"] = argument
    return found


def capture_library_logs(sink: LogSink) -> Callable[[], None]:
    """Send this process's `logging` records and warnings to `sink` alone; return a function that undoes this."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    root.handlers = [LibraryLogs(sink)]
    root.setLevel(logging.WARNING)
    logging.captureWarnings(True)

    def release() -> None:
        logging.captureWarnings(False)
        root.handlers = handlers
        root.setLevel(level)

    return release


class BareRecords(logging.Handler):
    """Writes one line to stderr for each record."""

    def emit(self, record: logging.LogRecord) -> None:
        error = record.exc_info[1] if record.exc_info else None
        # stderr may be closed while the process ends.
        if takes_a_line(sys.stderr):
            sys.stderr.write(bare_line(f"{record.name} ({record.filename}:{record.lineno})", error) + "\n")


def install() -> None:
    """Write records that no handler takes in this form, instead of with their text."""
    logging.lastResort = BareRecords(logging.WARNING)
