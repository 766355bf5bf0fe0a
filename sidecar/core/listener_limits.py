"""How much one listener takes on, and the words for what went beyond it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from sidecar.core.model import Seconds

ListenerName: TypeAlias = Literal["vending", "admin"]
"""The two listeners."""

Limit: TypeAlias = Literal["connections", "header-bytes", "pipelined", "slow-headers", "slow-body", "slow-reader"]
"""What a connection went beyond, one word for each field of `Limits`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The same for both listeners; each has a connection count of its own, so that neither starves the other."""

    max_connections: int = 512
    """Past it the connection that owes bytes or is silent longest makes room, then the longest long-poll; where there
    is none the newcomer is answered 503. A quarter of them may have a body under way; of more, the one that is waited
    for longest is answered 503. A connection that asks now and then takes 10 KiB."""
    max_header_bytes: int = 16 * 1024
    """One request's line and header lines together, with the empty lines before them; a longer head is answered 431."""
    max_pipelined: int = 16
    """Requests that one connection may have sent ahead; nothing more is read from it until they are answered."""
    header_timeout_s: Seconds = 10
    """From the connection's start, or a later head's first byte, to the head's end."""
    body_timeout_s: Seconds = 5
    """From the head to the body's end."""
    write_timeout_s: Seconds = 10
    """How long an answer may lie unread."""
