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
    """An answer that makes no sense, a redirect among them."""
    TIMEOUT = "timeout"
    CONNECT = "connect"
    """Refused, reset, no route, no name, no TLS."""
    SERVER_ERROR = "server-error"
    """5xx."""


class AnswerProblem(StrEnum):
    """In which way an answer is malformed; the values are the field `problem` of the event `partner_called`.

    A closed set: it says nothing of the content.
    """

    TRANSFER = "transfer"
    """No valid HTTP, less of it than announced, or too much; the event's `cause` has the class of the exception."""
    STATUS = "status"
    """A redirect, or a success other than 200."""
    TOO_LONG = "too-long"
    """The body, or what it is decompressed to."""
    BAD_GZIP = "bad-gzip"
    """It begins as gzip does, and is broken, cut off or followed by more."""
    EMPTY = "empty"
    NOT_JSON = "not-json"
    """A page, or JSON that was cut off or is not UTF-8; other compressions than gzip too."""
    NOT_OBJECT = "not-object"
    NO_TOKEN = "no-token"  # noqa: S105 - a word of the log
    """None in its field, or none that can stand in an HTTP header."""
    ROLE = "role"
    """The token is for another role."""
    ENDED = "ended"
    """The token was over when it came."""


MAX_TEXT_CHARS = 200
"""The longest text of a partner that is kept, shown or logged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerDetail:
    """What the partner said when it said no; `session_id` is what its support team asks for.

    Texts are empty where the partner said nothing. They are printable and cut to `MAX_TEXT_CHARS` here, wherever they
    come from: the store is written by others too.
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
