"""Events as log lines: JSON for machines, or text for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal

from sidecar.core.events import Event, Level
from sidecar.core.model import UtcTime
from sidecar.core.ports import Clock
from sidecar.telemetry.event_fields import event_fields
from sidecar.telemetry.line_writer import LineOutput
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
