"""The limits of one listener, and the words for exceeded limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sidecar.core.model import Seconds

ListenerName: TypeAlias = Literal["vending", "admin", "gateway"]
"""`gateway`: those of all profiles that have one."""

Limit: TypeAlias = Literal["connections", "header-bytes", "pipelined", "slow-headers", "slow-body", "slow-reader"]
"""The limit that a connection exceeded, one word for each field of `Limits`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The same for all listeners; each has a connection count of its own, so that neither starves the other."""

    max_connections: int = 512
    """Past it the connection that has been idle or late with its bytes for longest is closed, then the longest
    long-poll. If there is none, the new connection gets 503. A quarter of them may be sending a body; of more, the one
    that is waited for longest gets 503. A connection with occasional requests takes 10 KiB."""
    max_header_bytes: int = 16 * 1024
    """One request's line and header lines together, with the empty lines before them; a longer head is answered 431."""
    max_pipelined: int = 16
    """Requests that one connection may have sent ahead; nothing more is read from it until they are answered."""
    header_timeout_s: Seconds = 10
    """From the connection's start, or a later head's first byte, to the head's end."""
    body_timeout_s: Seconds = 5
    """From the head to the body's end."""
    write_timeout_s: Seconds = 10
    """How long a response may stay unread."""
