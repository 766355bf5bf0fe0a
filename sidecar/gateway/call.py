"""One app's call through the gateway: what is known of it so far, and its record."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from sidecar.core.model import MonotonicTime
from sidecar.core.ports import Clock, EventSink
from sidecar.core.process_events import GatewayCalled, OutcomeUnknown, SignedRequestRefused
from sidecar.core.trace_context import TraceContext
from sidecar.vending.api import VendedToken

DISCONNECTED = "disconnected"
"""The code of a call that got no response: its connection ended, and nothing was on its way to the partner."""
_MAX_PATH_CHARACTERS = 200


@dataclass(slots=True, kw_only=True)
class GatewayCall:
    """`path` is empty, and the audit gets no line, until the guards have accepted the request.

    `has_left`: whether the app has closed its side. It may still read, but hardly any does.
    """

    profile: str
    method: str
    caller: str
    trace: TraceContext | None
    clock: Clock
    sink: EventSink
    audit: EventSink
    has_left: Callable[[], bool]
    path: str = ""
    attempts: int = 0
    """How many requests had a connection to the partner, those included that the client repeats for reads."""
    vended: VendedToken | None = None
    """The token of the latest request."""
    is_sent: bool = False
    """Whether the latest request may be on its way: from then on nobody here knows what the partner does."""
    is_signed: bool = False
    started_at: MonotonicTime = field(init=False)
    _has_ended: bool = False

    def __post_init__(self) -> None:
        self.started_at = self.clock.monotonic()

    def begin(self, vended: VendedToken) -> None:
        """Note that a request with this token comes next."""
        self.vended, self.is_sent = vended, False

    def connected(self) -> None:
        """Note that the request has a connection."""
        self.is_sent = True
        self.attempts += 1

    def end(self, code: str, *, status: int = 0, complete: bool = True, cause: str = "") -> None:
        """Record the end, once. `code` and `status` as in `GatewayCalled`, `cause` of an unknown outcome."""
        if self._has_ended:
            return
        self._has_ended = True
        vended, path = self.vended, self.path[:_MAX_PATH_CHARACTERS]
        age_s = 0.0 if vended is None else max(0.0, self.clock.wall() - vended.issued_at)
        event = GatewayCalled(
            profile=self.profile,
            method=self.method,
            path=path,
            caller=self.caller,
            code=code,
            status=status,
            attempts=self.attempts,
            complete=complete and not self.has_left(),
            token_id="" if vended is None else vended.token.token_id,
            suspect=vended is not None and vended.suspect,
            signed=self.is_signed,
            token_age_s=age_s,
            duration_s=self.clock.monotonic() - self.started_at,
            trace=self.trace,
        )
        self.sink.emit(event)
        if path:
            # Not for refused callers, who could fill the log.
            self.audit.emit(event)
        if code == "partner-outcome-unknown":
            unknown = OutcomeUnknown(profile=self.profile, method=self.method, path=path, cause=cause, trace=self.trace)
            self.sink.emit(unknown)
        elif status == 400 and self.is_signed:
            self.sink.emit(SignedRequestRefused(profile=self.profile, token_age_s=age_s))

    def marks(self, answer: Literal["partner", "sidecar"], *, replaced: bool = False) -> Mapping[str, str]:
        """Return the headers that every response has."""
        marks = {"Sidecar-Answer": answer, "Sidecar-Attempts": str(self.attempts)}
        if self.vended is not None:
            marks["Token-Id"] = self.vended.token.token_id
            if self.vended.suspect:
                marks["Token-Suspect"] = "true"
        if replaced:
            marks["Sidecar-Token"] = "replaced"
        return marks
