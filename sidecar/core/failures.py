"""How a partner call can fail: a closed set, and what the partner said about it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class FailureKind(StrEnum):
    """The class of a failed partner call; the values are the `outcome` labels of the contract."""

    THROTTLED = "throttled"
    """429."""
    REJECTED = "rejected"
    """401 or 403: the credentials, or on a refresh the refresh token, are not accepted."""
    REFUSED = "refused"
    """400, 404, 405 and the other 4xx: the request does not fit the partner."""
    MALFORMED = "malformed"
    """An answer that makes no sense, a redirect among them."""
    TIMEOUT = "timeout"
    CONNECT = "connect"
    """Refused, reset, no route, no name, no TLS."""
    SERVER_ERROR = "server-error"
    """5xx."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartnerDetail:
    """What the partner said when it said no; `session_id` is what its support team asks for.

    Texts are printable, bounded and free of secrets; empty where the partner said nothing.
    """

    status: int
    error_code: str = ""
    error_message: str = ""
    session_id: str = ""
