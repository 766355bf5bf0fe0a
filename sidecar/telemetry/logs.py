"""Events as log lines: JSON for machines, colours for people."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime
from typing import Any, Literal, TextIO

import structlog
from structlog.typing import EventDict, Processor

from sidecar.core.events import Event, Level
from sidecar.core.model import Instant
from sidecar.core.ports import Clock
from sidecar.telemetry.event_fields import event_fields
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.repetition import Repetition, repeated_as

_RANKS: dict[Level, int] = {"debug": 10, "info": 20, "warning": 30, "error": 40}


class LogSink:
    """Writes one line for each event of at least `level`.

    `event` is the event's constant name; beside it `timestamp` (ISO 8601, UTC), `level` and the event's own fields.
    What `repeated_as` calls a repetition is told every ten seconds, with the number of lines left out (`suppressed`).
    """

    def __init__(
        self, log_format: Literal["json", "console"], level: Level, stream: TextIO, redactor: Redactor, clock: Clock
    ) -> None:
        self._threshold = _RANKS[level]
        self._repetition = Repetition(clock)
        self._logger: Any = structlog.wrap_logger(
            structlog.WriteLogger(stream),
            processors=_processors(log_format, redactor, clock),
            wrapper_class=structlog.make_filtering_bound_logger(self._threshold),
            cache_logger_on_first_use=True,
        )

    def emit(self, event: Event) -> None:
        # Looked at first: a warm request costs no more than this line when its level is off.
        if _RANKS[event.level] < self._threshold:
            return
        same = repeated_as(event)
        suppressed = 0 if same is None else self._repetition.tell(same)
        if suppressed is not None:
            told = {"suppressed": suppressed} if suppressed else {}
            self.write(event.level, event.name, event_fields(event) | told)

    def write(self, level: Level, name: str, fields: dict[str, object]) -> None:
        """One line, unless the level is off. A log nobody reads any more (closed, full) stops no payment."""
        with contextlib.suppress(OSError, ValueError):
            getattr(self._logger, level)(name, **fields)


def timestamp(at: Instant) -> str:
    """ISO 8601 in UTC, with milliseconds."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _processors(log_format: Literal["json", "console"], redactor: Redactor, clock: Clock) -> list[Processor]:
    def stamp(logger: object, method: str, line: EventDict) -> EventDict:  # noqa: ARG001 - structlog's form
        return {"timestamp": timestamp(clock.wall()), "level": method, **line}

    # No processor formats exceptions: structlog's would show the values of frame locals.
    renderer: Processor = structlog.processors.JSONRenderer()
    if log_format == "console":
        renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    return [redactor, stamp, renderer]
