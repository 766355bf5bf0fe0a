"""Events of requests and connections, files and token files: records as in `sidecar.core.events`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias

from sidecar.core.events import Event, Verdict
from sidecar.core.listener_limits import Limit, ListenerName
from sidecar.core.model import Seconds
from sidecar.core.trace_context import TraceContext

Endpoint: TypeAlias = Literal["token", "authorize", "oauth", "rejected", "sign"]
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
    """A caller was given a token or a signature, or reported a token; emitted only where an audit is asked for.

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
class GatewayCalled(Event):
    """An app's call through the gateway has ended. One audit line, and the gateway's metrics.

    `path` is without the query. `code` is the class of the partner's status (`2xx`), an error code of the contract, or
    `disconnected`: the app left while nothing was on its way to the partner. `status` is the partner's status, 0
    without one. `attempts` counts requests that were sent. `complete` is False where the response did not reach the app
    in whole: it broke, or the app had left or closed its side.
    """

    name = "gateway_called"
    level = "debug"
    method: str
    path: str
    caller: str
    code: str
    status: int
    attempts: int
    complete: bool
    token_id: str
    suspect: bool
    signed: bool
    token_age_s: Seconds
    duration_s: Seconds
    trace: TraceContext | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequestRefused(Event):
    """The partner answered a signed request with 400. The token's age may be the cause."""

    name = "signed_request_refused"
    level = "warning"
    token_age_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class OutcomeUnknown(Event):
    """A request was sent to the partner and got no response: the app has to find out what became of it."""

    name = "partner_outcome_unknown"
    level = "error"
    method: str
    path: str
    cause: str
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


FileName: TypeAlias = Literal[
    "credentials",
    "caller-tokens",
    "seal-keys",
    "store-password",
    "store-certificates",
    "partner-certificates",
    "token-file",
]
"""What a file is for. A public, closed set: a label of a metric, a field of events, words of `/status.json`."""


class StalledFile(NamedTuple):
    """A file of which an operation hangs; `profile` is empty where all profiles share the file."""

    file: FileName
    profile: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStalled(Event):
    """An operation on a file takes so long that its file system counts as hung."""

    name = "file_stalled"
    level = "error"
    file: FileName


@dataclass(frozen=True, slots=True, kw_only=True)
class FileStallEnded(Event):
    """The operation that hung has returned, with or without success."""

    name = "file_stall_ended"
    file: FileName


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerCertificatesChanged(Event):
    """Partner calls trust the certificates that the files hold now."""

    name = "partner_certificates_changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerCertificatesUnreadable(Event):
    """The changed files of trusted certificates cannot be used; the previous ones stay in use."""

    name = "partner_certificates_unreadable"
    level = "error"
    problem: str


TokenFileChange: TypeAlias = Literal["removed", "content", "mode", "created"]
"""How a token file differs from how it was left: gone, other content, another mode, or there although it was removed.
A public, closed set."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFileWritten(Event):
    """The profile's token file holds this token from now on."""

    name = "token_file_written"
    token_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFileRemoved(Event):
    """The token file was removed: no token can be vended unmarked, or the one that can could not be written in time."""

    name = "token_file_removed"


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFileChanged(Event):
    """Another process changed the token file. It is as it was again."""

    name = "token_file_changed"
    level = "warning"
    change: TokenFileChange


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenFileFailed(Event):
    """The token file could not be written or removed.

    `cause` is the error's symbol, such as ENOSPC, or `not-regular`, `stalled` or `no-thread`; `old_token_left` says
    whether an earlier token can still be read from the file.
    """

    name = "token_file_failed"
    level = "error"
    cause: str
    old_token_left: bool
