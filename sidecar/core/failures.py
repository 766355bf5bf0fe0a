"""How a partner call can fail: a closed set, and what the partner said about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
