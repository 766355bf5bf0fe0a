"""The audit's lines, made by hand: with one for each request, the log's way would cost as much as the answer."""

from __future__ import annotations

from typing import Literal, Protocol

import msgspec

from sidecar.core.ports import Clock
from sidecar.core.request_events import Audited
from sidecar.telemetry.event_fields import event_fields
from sidecar.telemetry.line_writer import LineOutput
from sidecar.telemetry.log import LogSink, timestamp
from sidecar.telemetry.redaction import Redactor


class AuditLines(Protocol):
    """Where the audit's lines go."""

    def write(self, event: Audited, suppressed: int) -> None:
        """One line; `suppressed` (0: left out) are those like it that were not told."""
        ...


def open_lines(
    log_format: Literal["json", "console"], output: LineOutput, redactor: Redactor, clock: Clock
) -> AuditLines:
    """Lines in the log's form, of every level, whatever the log's own is."""
    if log_format == "json":
        return JsonLines(output, redactor, clock)
    return LogLines(LogSink(log_format, "debug", output, redactor, clock))


class LogLines:
    """The log's own way, in the log's own form."""

    def __init__(self, log: LogSink) -> None:
        """`log` is one that writes every level."""
        self._log = log

    def write(self, event: Audited, suppressed: int) -> None:
        fields = event_fields(event)
        self._log.write(event.level, event.name, fields | {"suppressed": suppressed} if suppressed else fields)


class JsonLines:
    """The same lines as `LogLines` with a JSON log, for a third of the time.

    No field can hold a secret: profiles and endpoints are closed sets, the kernel names the caller, and ids are those
    of tokens that were vended here. The finished line is searched for registered secrets all the same.
    """

    def __init__(self, output: LineOutput, redactor: Redactor, clock: Clock) -> None:
        self._output = output
        self._redactor = redactor
        self._clock = clock

    def write(self, event: Audited, suppressed: int) -> None:
        line: dict[str, object] = {
            "timestamp": timestamp(self._clock.wall()),
            "level": event.level,
            "event": event.name,
            "profile": event.profile,
            "endpoint": event.endpoint,
            "caller": event.caller,
            "token_id": event.token_id,
            "outcome": event.outcome,
        }
        if event.trace is not None:
            line |= {"trace_id": event.trace.trace_id, "parent_id": event.trace.parent_id}
        if not event.token_id:
            del line["token_id"]
        if suppressed:
            line["suppressed"] = suppressed
        self._output.write(self._redactor.text(msgspec.json.encode(line).decode()) + "\n")
