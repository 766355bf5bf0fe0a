"""The audit: which caller got or reported which token. Never the token itself.

The audit's lines. Built directly: through the log, a line for each request would cost as much as the response.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, Protocol

import msgspec

from sidecar.core.events import Event
from sidecar.core.ports import Clock
from sidecar.core.process_events import Audited
from sidecar.telemetry.event_fields import event_fields
from sidecar.telemetry.line_writer import LineOutput
from sidecar.telemetry.log import LogSink, timestamp
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.throttle import Repetition


class AuditLines(Protocol):
    """Writes the audit's lines."""

    def write(self, event: Audited, suppressed: int) -> None:
        """Write one line. `suppressed` is the number of equal events not written; a 0 is not shown."""
        ...


def open_lines(
    log_format: Literal["json", "console"], output: LineOutput, redactor: Redactor, clock: Clock
) -> AuditLines:
    """Return a writer of lines in the log's format, for every level, independent of the log's level."""
    if log_format == "json":
        return JsonLines(output, redactor, clock)
    return LogLines(LogSink(log_format, "debug", output, redactor, clock))


class LogLines:
    """Writes through the log, in the log's format."""

    def __init__(self, log: LogSink) -> None:
        """`log` must write every level."""
        self._log = log

    def write(self, event: Audited, suppressed: int) -> None:
        fields = event_fields(event)
        self._log.write(event.level, event.name, fields | {"suppressed": suppressed} if suppressed else fields)


class JsonLines:
    """Writes the same lines as `LogLines` with a JSON log, in a third of the time.

    No field can hold a secret: profiles and endpoints are closed sets, the kernel supplies the caller, and the ids
    belong to tokens vended here. The finished line is still searched for registered secrets.
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


MAX_CALLERS = 1024
"""The most callers of a profile's current token that are counted separately."""


@dataclass(slots=True)
class _Holders:
    """The callers that got a profile's current token. Replaced with the token, so `MAX_CALLERS` bounds its size."""

    token_id: str = ""
    callers: set[str] = field(default_factory=set)


class Audit:
    """An `AuditSink` that writes a line `audit` for each `Audited`, at every log level.

    `all` writes every one. `changes` writes a vended token when a caller first gets it. Of the reports with the same
    caller, token and verdict it writes one in ten seconds, with the number of omitted ones (`suppressed`). A caller is
    a user id, or an address without its port. The memory is bounded: callers beyond `MAX_CALLERS` of one token, and
    keys beyond those that `Repetition` keeps, share one line in ten seconds.
    """

    def __init__(self, mode: Literal["changes", "all"], lines: AuditLines, clock: Clock) -> None:
        self._everything = mode == "all"
        self._lines = lines
        self._repetition = Repetition(clock)
        self._holders: dict[str, _Holders] = {}

    def emit(self, event: Event) -> None:
        if not isinstance(event, Audited):
            return
        left_out = 0 if self._everything else self._news(event)
        if left_out is not None:
            self._lines.write(event, left_out)

    def is_told(self, profile: str, token_id: str, caller: str) -> bool:
        """As `AuditSink`."""
        if self._everything:
            return False
        holders = self._holders.get(profile)
        return holders is not None and holders.token_id == token_id and _without_port(caller) in holders.callers

    def _news(self, event: Audited) -> int | None:
        """Return the number of equal events omitted before; None when the event is not written."""
        caller = _without_port(event.caller)
        if event.endpoint == "rejected":
            return self._repetition.tell((event.profile, caller, event.outcome, event.token_id))
        # The names of profiles are a closed set: only requests that got a token are audited.
        holders = self._holders.get(event.profile)
        if holders is None or holders.token_id != event.token_id:
            holders = self._holders[event.profile] = _Holders(event.token_id)
        if caller in holders.callers:
            return None
        if len(holders.callers) < MAX_CALLERS:
            holders.callers.add(caller)
            return 0
        return self._repetition.tell(event.profile)


def _without_port(caller: str) -> str:
    return caller if caller.startswith("uid:") else caller.rpartition(":")[0]
