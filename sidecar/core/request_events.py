"""What happened to requests and connections, of both listeners. Records as in `sidecar.core.events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sidecar.core.events import Event, Verdict
from sidecar.core.listener_limits import Limit, ListenerName
from sidecar.core.model import Seconds
from sidecar.core.trace_context import TraceContext

Endpoint: TypeAlias = Literal["token", "authorize", "oauth", "rejected"]
Outcome: TypeAlias = Literal["ok", "suspect"] | Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestServed(Event):
    """One vending request was answered; `code` is `ok`, `not-modified` or an error code of the contract."""

    name = "request_served"
    level = "debug"
    endpoint: Endpoint
    code: str
    duration_s: Seconds
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestRefused(Event):
    """A guard refused a request, with the contract's `code`. Only the trace of the request is recorded."""

    name = "request_refused"
    level = "warning"
    code: str
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audited(Event):
    """A caller was given a token, or reported one; emitted only where an audit is asked for.

    `caller` is `uid:1000` on a unix socket, else the peer's address with its port. `outcome` is a report's verdict, or
    whether the token was given as good (`ok`) or as `suspect`. `token_id` is empty as in `TokenReported`.
    """

    name = "audit"
    endpoint: Endpoint
    caller: str
    token_id: str
    outcome: Outcome
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MalformedRequest(Event):
    """A request could not be parsed; nothing of it is logged, because it may hold a secret."""

    name = "malformed_request"
    level = "warning"
    status: int
    cause: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitHit(Event):
    """A connection exceeded a limit: it was closed, refused, or not read for a while."""

    name = "limit_hit"
    level = "warning"
    listener: ListenerName
    limit: Limit
