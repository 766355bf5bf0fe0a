"""The error tree, the codes that callers get, and the ways in which a partner call can fail.

SidecarError
├── ConfigurationError          the settings do not fit together; carries every problem
├── CredentialsError            the credential files cannot be used
├── StoreError                  the store cannot be used right now
├── PartnerError                a partner call failed; carries its classification
├── UnsentError                 a partner call was given up before its first byte
└── AnswerError                 a caller gets this error; `code` is one of `ERROR_CODES`
    ├── UnknownProfileError
    ├── BadRequestError
    └── NoTokenError            "not now, try in N seconds"
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, ClassVar, Literal, TypeAlias, get_args

if TYPE_CHECKING:
    from sidecar.core.model import Seconds


ErrorCode: TypeAlias = Literal[
    "unknown-profile", "bad-request", "partner-cooling-down", "call-budget-exhausted", "partner-unavailable",
    "credentials-rejected", "partner-refused-request", "store-unavailable", "starting", "timeout", "header-required",
    "forwarded-request", "host-not-allowed", "caller-not-allowed", "not-found", "method-not-allowed",
    "payload-too-large", "overloaded", "internal-error", "signing-not-configured", "gateway-not-allowed",
    "partner-unreachable", "partner-outcome-unknown",
]  # fmt: skip
ERROR_CODES: tuple[ErrorCode, ...] = get_args(ErrorCode)
"""The code of every error response. `web/responses.py` maps codes to HTTP statuses and titles."""


class SidecarError(Exception):
    """Every error this project raises on purpose."""


class ConfigurationError(SidecarError):
    """The settings do not fit together. `problems` lists every one, a line each."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class CredentialsError(SidecarError):
    """The credential files are missing, empty or unreadable. `problems` name each file, never its content."""

    def __init__(self, *problems: str) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


class StoreError(SidecarError):
    """The store cannot be used right now; `operation` is the port's method, `cause` an exception class name.

    `words` may tell the operator what to do about it. `address` is the server that was asked last, as it was
    configured or announced; empty where there is none, or it is unknown. Whether the operation took effect is unknown:
    repeat it with the same nonce.
    """

    def __init__(self, operation: str, cause: str, words: str = "", address: str = "") -> None:
        super().__init__(f"store {operation} failed: {cause}")
        self.operation = operation
        self.cause = cause
        self.words = words
        self.address = address


class PartnerError(SidecarError):
    """A partner call failed. `retry_after_s` is set only when the partner named a usable wait.

    `cause` is the class name of the exception that ended the call; empty when a response came. `problem` says how a
    response is malformed; None for other failures.
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: PartnerDetail | None = None,
        retry_after_s: Seconds | None = None,
        cause: str = "",
        problem: AnswerProblem | None = None,
    ) -> None:
        super().__init__(f"partner call failed: {kind}")
        self.kind = kind
        self.detail = detail
        self.retry_after_s = retry_after_s
        self.cause = cause
        self.problem = problem


class UnsentError(SidecarError):
    """The lease no longer covered a whole call, so nothing was sent."""


class AnswerError(SidecarError):
    """A caller gets this error. The text is safe to show."""

    code: ClassVar[ErrorCode]


class UnknownProfileError(AnswerError):
    """No profile has this name."""

    code = "unknown-profile"


class BadRequestError(AnswerError):
    """The request can never succeed as it is."""

    code = "bad-request"


class NoTokenError(AnswerError):
    """No token can be had now; `retry_after_s` (> 0) says when to ask again."""

    def __init__(self, text: str, *, retry_after_s: Seconds, partner: PartnerDetail | None = None) -> None:
        super().__init__(text)
        self.retry_after_s = retry_after_s
        self.partner = partner


class CoolingDownError(NoTokenError):
    """The partner returned 429. No replica calls it before the cool-down ends."""

    code = "partner-cooling-down"


class BudgetExhaustedError(NoTokenError):
    """The fleet's own call budget is spent."""

    code = "call-budget-exhausted"


class PartnerUnavailableError(NoTokenError):
    """Network error, timeout, 5xx, or a malformed response."""

    code = "partner-unavailable"


class CredentialsRejectedError(NoTokenError):
    """401 or 403: no more calls with these credentials until they change or the slow re-try is due."""

    code = "credentials-rejected"


class PartnerRefusedError(NoTokenError):
    """400, 404 or 405: the configuration does not fit the partner."""

    code = "partner-refused-request"


class StoreUnavailableError(NoTokenError):
    """The store is down and the outage budget permits no call either."""

    code = "store-unavailable"


class StartingError(NoTokenError):
    """There has been no token yet since this process started."""

    code = "starting"


class WaitTimeoutError(NoTokenError):
    """No token came within the time a caller may wait."""

    code = "timeout"


class FailureKind(StrEnum):
    """The class of a failed partner call; the values are the `outcome` labels of the contract."""

    THROTTLED = "throttled"
    """429."""
    UNAUTHORIZED = "rejected"
    """401 or 403: the credentials, or on a refresh the refresh token, are not accepted."""
    BAD_REQUEST = "refused"
    """400, 404, 405 and the other 4xx: the request does not fit the partner."""
    MALFORMED = "malformed"
    """A malformed response. Redirects are included."""
    TIMEOUT = "timeout"
    CONNECT = "connect"
    """Refused, reset, no route, no name, no TLS."""
    SERVER_ERROR = "server-error"
    """5xx."""


class AnswerProblem(StrEnum):
    """How a response is malformed; the values are the field `problem` of the event `partner_called`.

    A closed set: it says nothing of the content.
    """

    TRANSFER = "transfer"
    """No valid HTTP, less of it than announced, or too much; the event's `cause` has the class of the exception."""
    STATUS = "status"
    """A redirect, or a success other than 200."""
    TOO_LONG = "too-long"
    """The body is too long, or its decompressed form is."""
    BAD_GZIP = "bad-gzip"
    """It begins like gzip, and is broken, cut off or followed by more data."""
    EMPTY = "empty"
    NOT_JSON = "not-json"
    """A page, or JSON that was cut off or is not UTF-8; other compressions than gzip too."""
    NOT_OBJECT = "not-object"
    NO_TOKEN = "no-token"  # noqa: S105 - a word of the log
    """No token in its field, or none that is valid in an HTTP header."""
    TOKEN_TYPE = "token-type"  # noqa: S105 - the same
    """The token is not a Bearer token."""
    ROLE = "role"
    """The token is for another role."""
    ENDED = "ended"
    """The token had expired when it came."""


MAX_TEXT_CHARS = 200
"""The longest text of a partner that is kept, shown or logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerDetail:
    """The details of a partner's error response. The partner's support team asks for `session_id`.

    Texts are empty where the partner sent none. They are made printable and cut to `MAX_TEXT_CHARS` here, whatever
    their source is: other programs can write to the store.
    """

    status: int
    error_code: str = ""
    error_message: str = ""
    session_id: str = ""

    def __post_init__(self) -> None:
        for name in ("error_code", "error_message", "session_id"):
            object.__setattr__(self, name, printable(getattr(self, name))[:MAX_TEXT_CHARS])


def printable(text: str) -> str:
    """The text with a space for each control, format or otherwise unprintable character."""
    return "".join(char if char.isprintable() else " " for char in text)
