"""Frozen records of what happened. The core emits them; telemetry turns them into metrics and log lines.

`name` is the log line's constant `event`; `level` its level. No field ever holds a secret.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal, TypeAlias

from sidecar.core.errors import AnswerProblem, FailureKind, PartnerDetail
from sidecar.core.model import Lifetime, Operation, Reason, Seconds, UtcTime

AttemptResult: TypeAlias = Literal["fetched", "adopted", "failed"]
Verdict: TypeAlias = Literal["refreshing", "already-replaced", "later", "confirmed"]
Level: TypeAlias = Literal["debug", "info", "warning", "error"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Something that happened, to one profile where `profile` is not empty."""

    name: ClassVar[str]
    level: ClassVar[Level] = "info"
    profile: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStarted(Event):
    name = "service_started"
    version: str
    listen: tuple[str, ...]
    admin_listen: tuple[str, ...]
    store: str
    profiles: tuple[str, ...]
    gateways: tuple[str, ...] = ()
    """The addresses of the gateways, of all profiles in their order."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStopping(Event):
    name = "service_stopping"
    drain_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceStopped(Event):
    name = "service_stopped"


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigurationWarned(Event):
    name = "configuration_warning"
    level = "warning"
    warning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LogLinesDropped(Event):
    """Numbers of lines not written since the last such event: the log was not read, or could not be written."""

    name = "log_lines_dropped"
    level = "warning"
    log: int
    audit: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptEnded(Event):
    """One refresh attempt ended, with its reason and its result."""

    name = "flight_ended"
    level = "debug"
    reason: Reason
    result: AttemptResult


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerCalled(Event):
    """One call ended; `cause` is the class name of the exception that ended it, empty when a response came.

    `problem` says how a response is malformed; empty for every other outcome.
    """

    name = "partner_called"
    operation: Operation
    outcome: FailureKind | Literal["ok"]
    duration_s: Seconds
    detail: PartnerDetail | None = None
    cause: str = ""
    problem: AnswerProblem | Literal[""] = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenChanged(Event):
    """This replica vends another token from now on. It was fetched here (`fetched`) or adopted from the store."""

    name = "token_changed"
    token_id: str
    fetched: bool
    fence: int
    issued_at: UtcTime
    expires_at: UtcTime
    lifetime: Lifetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PauseStarted(Event):
    """A cool-down or back-off began, by this replica's own call."""

    name = "pause_started"
    level = "warning"
    kind: FailureKind
    pause_s: Seconds
    strikes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LeaseLost(Event):
    """Our lease ended before our work: this process was paused, or the commit came too late."""

    name = "lease_lost"
    level = "warning"
    stage: Literal["before-call", "commit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TokenReported(Event):
    """`token_id` is empty where this replica never held the token: an unknown id may be a token."""

    name = "token_reported"
    token_id: str
    verdict: Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class LifetimeLearned(Event):
    name = "lifetime_learned"
    level = "warning"
    learned_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreFailed(Event):
    """One store operation failed; `cause` is an exception's class name, `address` the server that was asked last."""

    name = "store_failed"
    level = "warning"
    operation: str
    cause: str
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreRecovered(Event):
    name = "store_recovered"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreDataLost(Event):
    """The store came back with another epoch, or without facts that we have. It was seeded from our memory."""

    name = "store_data_lost"
    level = "warning"


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreClockStepped(Event):
    """The store's clock was set, by `step_s`. Replicas seed it with ages measured by their own clocks."""

    name = "store_clock_stepped"
    level = "warning"
    step_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredValueDiscarded(Event):
    """A value under our keys could not be used and counts as missing."""

    name = "stored_value_discarded"
    level = "warning"
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsChanged(Event):
    name = "credentials_changed"
    credentials_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CredentialsUnreadable(Event):
    name = "credentials_unreadable"
    level = "error"
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKeyChanged(Event):
    """The file `signing-key` has other content, or it was added or removed (`present`)."""

    name = "signing_key_changed"
    present: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestSigned(Event):
    name = "request_signed"
    level = "debug"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerClockDiffers(Event):
    """Timestamps of signatures are by our clock (`SIDECAR_CLOCK=local`), and the partner's is `offset_s` ahead."""

    name = "partner_clock_differs"
    level = "warning"
    offset_s: Seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class SealKeysChanged(Event):
    """Other seal keys are in use; the first one seals. `key_ids` holds ids, not keys."""

    name = "seal_keys_changed"
    key_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SealKeysUnreadable(Event):
    """The changed file of seal keys cannot be used; the previous keys stay in use."""

    name = "seal_keys_unreadable"
    level = "error"
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class InternalFailure(Event):
    """A bug. `trace` has file names, lines and exception classes, never texts or values."""

    name = "internal_failure"
    level = "error"
    where: str
    trace: str
