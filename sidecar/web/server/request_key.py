"""The bytes of a head that decide its response: all but the lines that neither guards nor endpoints read.

Those lines have a name of a closed list and one strict form. The head must be within every limit of size and number of
lines. A continued line is not removed. Of several `User-Agent` lines, which aiohttp refuses, one is removed.

Removing lines never turns other bytes into one complete head: a line is removed with the line end before it, and the
line end after it stays. So an empty line stays where it was.
"""

from __future__ import annotations

import re

from sidecar.core.trace_context import TraceContext, trace_context

MAX_REQUEST_BYTES = 4096
MAX_LINES = 64
"""Half as many as aiohttp accepts."""
_FEW_BYTES = MAX_LINES * len(b"b3: 0\r\n")
"""A head of this size has at most `MAX_LINES` lines that can be removed."""

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


def is_short(head: bytes) -> bool:
    size = len(head)
    return size <= _FEW_BYTES or (size <= MAX_REQUEST_BYTES and head.count(b"\n") <= MAX_LINES)


def without_traces(head: bytes) -> bytes:
    """Return the head without trace headers; the same object where it has none."""
    return _TRACES.sub(b"", head)


def without_user_agent(head: bytes) -> bytes:
    """Return the head without its first `User-Agent`; the same object where it has none."""
    return _USER_AGENT.sub(b"", head, 1)


def is_decisive(read: bytes) -> bool:
    """Whether `read` has no further line to remove: no `User-Agent` and no `traceparent`, in any form."""
    return not _NOT_LEFT_OUT.search(read)


def trace_of(head: bytes) -> TraceContext | None:
    return trace_context([value.decode() for value in _TRACEPARENT.findall(head)])
