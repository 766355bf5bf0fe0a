"""The logs of libraries (aiohttp, asyncio, redis), without their texts: those may quote a request or an address."""

from __future__ import annotations

import logging
from collections.abc import Callable

from sidecar.core.events import Level
from sidecar.telemetry.log import LogSink

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
