"""The audit: which caller got or reported which token, or got a signature. Never the token itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from structlog.typing import EventDict, Processor

from sidecar.core.events import Event
from sidecar.core.ports import Clock
from sidecar.core.process_events import Audited
from sidecar.telemetry.log import LineLogger, LogFormat, renderer, stamped
from sidecar.telemetry.redaction import Redactor
from sidecar.telemetry.throttle import Throttle

MAX_CALLERS = 1024
"""The most callers of a profile's current token that are counted separately."""


@dataclass(slots=True)
class _Holders:
    """The callers that got a profile's current token. Replaced with the token, so `MAX_CALLERS` bounds its size."""

    token_id: str = ""
    callers: set[str] = field(default_factory=set)


class Audit:
    """An `AuditSink` that writes a line `audit` for each `Audited`, in the log's format and at every log level.

    `all` writes every one. `changes` writes a vended token when a caller first gets it, and a signature when a caller
    first gets one with this token. Of the reports with the same
    caller, token and verdict it writes one in ten seconds, with the number of omitted ones (`suppressed`). A caller is
    a user id, or an address without its port. The memory is bounded: callers beyond `MAX_CALLERS` of one token, and
    keys beyond those that `Throttle` keeps, share one line in ten seconds.
    """

    def __init__(
        self,
        mode: Literal["changes", "all"],
        log_format: LogFormat,
        write_line: Callable[[str], object],
        redactor: Redactor,
        clock: Clock,
    ) -> None:
        self._everything = mode == "all"
        self._logger = LineLogger(write_line, _flat, stamped(clock), renderer(log_format), _masked(redactor))
        self._throttle = Throttle(clock)
        self._holders: dict[str, _Holders] = {}
        self._signers: dict[str, _Holders] = {}

    def emit(self, event: Event) -> None:
        if not isinstance(event, Audited):
            return
        suppressed = 0 if self._everything else self._suppressed(event)
        if suppressed is not None:
            self._logger.write(event.level, event, {"suppressed": suppressed} if suppressed else None)

    def is_told(self, profile: str, token_id: str, caller: str) -> bool:
        """As `AuditSink`."""
        if self._everything:
            return False
        holders = self._holders.get(profile)
        return holders is not None and holders.token_id == token_id and _without_port(caller) in holders.callers

    def _suppressed(self, event: Audited) -> int | None:
        """Return the number of equal events omitted before; None when the event is not written."""
        caller = _without_port(event.caller)
        if event.endpoint == "rejected":
            return self._throttle.admit((event.profile, caller, event.outcome, event.token_id))
        # The names of profiles are a closed set: only requests that got a token are audited.
        by_profile = self._signers if event.endpoint == "sign" else self._holders
        holders = by_profile.get(event.profile)
        if holders is None or holders.token_id != event.token_id:
            holders = by_profile[event.profile] = _Holders(event.token_id)
        if caller in holders.callers:
            return None
        if len(holders.callers) < MAX_CALLERS:
            holders.callers.add(caller)
            return 0
        return self._throttle.admit(event.profile)


def _flat(_logger: object, _level: str, line: EventDict) -> EventDict:
    """As `flat` of the log, for one class of events in a third of the time: there may be a line for each request."""
    event: Audited = line["event"]
    suppressed = line.pop("suppressed", 0)
    line["event"] = event.name
    line["profile"] = event.profile
    line["endpoint"] = event.endpoint
    line["caller"] = event.caller
    if event.token_id:
        line["token_id"] = event.token_id
    line["outcome"] = event.outcome
    if event.trace is not None:
        line["trace_id"], line["parent_id"] = event.trace.trace_id, event.trace.parent_id
    if suppressed:
        line["suppressed"] = suppressed
    return line


def _masked(redactor: Redactor) -> Processor:
    """Mask secrets in the finished line: a third of the time of doing so field by field, as there may be one a request.

    No field can hold a secret: profiles and endpoints are closed sets, the kernel supplies the caller, and the ids
    belong to tokens vended here.
    """
    return lambda _logger, _level, line: redactor.text(str(line))


def _without_port(caller: str) -> str:
    return caller if caller.startswith("uid:") else caller.rpartition(":")[0]
