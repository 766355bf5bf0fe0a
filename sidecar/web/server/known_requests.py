"""A table of requests that were seen before, by digests of the bytes that decide their response.

The table stores no request, and so no secret of a caller: the digests are keyed BLAKE2b, with a key made by this
process.

All lines of a head decide its response, except those that neither guards nor endpoints read. These have a name of a
closed list and one strict form. The head must be within every limit of size and number of lines. A continued line is
not removed. Of several `User-Agent` lines, which aiohttp refuses, one is removed.

Removing lines never turns other bytes into one complete head: a line is removed with the line end before it, and the
line end after it stays. So an empty line stays where it was.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from hashlib import blake2b
from typing import Generic, NamedTuple, TypeVar

from sidecar.core.trace_context import TraceContext, trace_context
from sidecar.web.server.request_parser import LINE_END
from sidecar.web.server.socket_protocol import Peer

MAX_REQUEST_BYTES = 4096
MAX_LINES = 64
"""Half as many as aiohttp accepts."""
_FEW_BYTES = MAX_LINES * len(b"b3: 0\r\n")
"""A head of this size has at most `MAX_LINES` lines that can be removed."""
MAX_ENTRIES = 1024
MAX_SEEN = 1024
_DIGEST_BYTES = 16

_TRACES = re.compile(
    # The first letters are tested alone first: most lines begin otherwise, and this takes a third of the time.
    rb"\r\n(?=[BCRSTUXbcrstux])(?i:trace(?:parent|state|-id)|baggage|b3|x-(?:b3-[a-z]{1,16}+|(?:request|correlation"
    rb"|trace)-id|amzn-trace-id|cloud-trace-context)|(?:request|correlation)-id|uber-trace-id|sentry-trace)"
    rb": [!-~]{1,512}+(?=\r\n[^ \t])"
)
"""W3C Trace Context and Baggage, B3, and the headers that clouds and gateways add to each request."""
_USER_AGENT = re.compile(rb"\r\n(?i:user-agent): [!-~][ -~]{0,511}+(?=\r\n[^ \t])")
_TRACEPARENT = re.compile(rb"\r\n(?i:traceparent): ([!-~]{1,512}+)(?=\r\n[^ \t])")
_NOT_LEFT_OUT = re.compile(rb"\r\n(?i:user-agent|traceparent)[ \t]*:")

T = TypeVar("T")


class Key(NamedTuple):
    """The digest of the bytes that a request is found by, and the number of these bytes."""

    digest: bytes
    size: int


class KnownRequests(Generic[T]):
    """One value for each request that was added twice. `max_head_bytes` excludes the empty line that ends a head."""

    def __init__(self, max_head_bytes: int = MAX_REQUEST_BYTES) -> None:
        self._max_bytes = max_head_bytes + len(LINE_END)
        self._keyed = blake2b(key=secrets.token_bytes(32), digest_size=_DIGEST_BYTES)
        self._entries: dict[bytes, T] = {}
        self._sizes: set[int] = set()
        """The sizes of requests that may be found by all their bytes. Requests of other sizes differ each time: for
        them that digest is not computed."""
        self._seen: dict[bytes, None] = {}

    def key_of(self, head: bytes, peer: Peer) -> Key | None:
        """Return the key for `add`; None for a request that is never found. `head` must be exactly one head."""
        if not is_short(head):
            return None
        decisive = without_user_agent(without_traces(head))
        return Key(self._digest(decisive, peer), len(decisive)) if is_decisive(decisive) else None

    def find(self, segment: bytes, peer: Peer) -> T | None:
        """Return the value of the request with the same decisive bytes; None without one, or if this is no head."""
        if len(segment) in self._sizes:
            # The same as `_digest`, without the cost of a call.
            state = self._keyed.copy()
            state.update(peer.key + segment)
            found = self._entries.get(state.digest())
            if found is not None:
                return found
        if not is_short(segment) or len(segment) > self._max_bytes:
            return None
        traceless = without_traces(segment)
        if traceless is not segment and len(traceless) in self._sizes:
            found = self._entries.get(self._digest(traceless, peer))
            if found is not None:
                return found
        return self._find_without_user_agent(traceless, peer)

    def _find_without_user_agent(self, traceless: bytes, peer: Peer) -> T | None:
        decisive = without_user_agent(traceless)
        # The table also has heads with one `User-Agent`. A head with two must not equal one of them.
        if decisive is traceless or not is_decisive(decisive):
            return None
        found = self._entries.get(self._digest(decisive, peer))
        if found is not None:
            # A client program sends the same `User-Agent` each time: add the head with it, to be found sooner.
            self.add(Key(self._digest(traceless, peer), len(traceless)), found)
        return found

    def add(self, key: Key, value: T) -> None:
        """Store a value that is added for the second time; it replaces the oldest one when the table is full."""
        if not self._was_seen(key.digest):
            return
        if key.digest not in self._entries and len(self._entries) >= MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[key.digest] = value
        self._sizes.add(key.size)

    def forget(self, is_outdated: Callable[[T], bool]) -> None:
        self._entries = {digest: value for digest, value in self._entries.items() if not is_outdated(value)}

    def clear(self) -> None:
        self._entries.clear()

    def _digest(self, decisive: bytes, peer: Peer) -> bytes:
        state = self._keyed.copy()
        state.update(peer.key + decisive)
        return state.digest()

    def _was_seen(self, digest: bytes) -> bool:
        if digest in self._entries:
            return True
        if digest in self._seen:
            del self._seen[digest]
            return True
        if len(self._seen) >= MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[digest] = None
        return False


def is_short(head: bytes) -> bool:
    size = len(head)
    return size <= _FEW_BYTES or (size <= MAX_REQUEST_BYTES and head.count(b"\n") <= MAX_LINES)


def without_traces(head: bytes) -> bytes:
    """Return the head without trace headers; the same object where it has none."""
    return _TRACES.sub(b"", head)


def without_user_agent(head: bytes) -> bytes:
    """Return the head without its first `User-Agent`; the same object where it has none."""
    return _USER_AGENT.sub(b"", head, 1)


def is_decisive(head: bytes) -> bool:
    """Whether `head` has no further line to remove: no `User-Agent` and no `traceparent`, in any form."""
    return not _NOT_LEFT_OUT.search(head)


def trace_of(head: bytes) -> TraceContext | None:
    return trace_context([value.decode() for value in _TRACEPARENT.findall(head)])
