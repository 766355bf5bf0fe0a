"""What of a head decides its answer: every byte, but for lines that neither guards nor endpoints read.

Those are a closed list of names, each in one strict form, in a head whose size and number of lines are within every
limit. A line that is continued is not left out. Of several `User-Agent`s, which aiohttp refuses, one is.

Leaving lines out makes nothing one whole head that was none: a line is left out with the line end before it, and the
one after it stays. So an empty line stays where it was.
"""

from __future__ import annotations

import re

from sidecar.core.trace_context import TraceContext, trace_context

MAX_REQUEST_BYTES = 4096
MAX_LINES = 64
"""Half as many as aiohttp takes."""
_FEW_BYTES = MAX_LINES * len(b"b3: 0\r\n")
"""In so many bytes no more than `MAX_LINES` lines can be left out."""

_TRACES = re.compile(
    # The first letters once more, alone: most lines begin otherwise, and that is found out in a third of the time.
    rb"\r\n(?=[BCRSTUXbcrstux])(?i:trace(?:parent|state|-id)|baggage|b3|x-(?:b3-[a-z]{1,16}+|(?:request|correlation"
    rb"|trace)-id|amzn-trace-id|cloud-trace-context)|(?:request|correlation)-id|uber-trace-id|sentry-trace)"
    rb": [!-~]{1,512}+(?=\r\n[^ \t])"
)
"""W3C Trace Context and Baggage, B3, and what clouds and gateways add to each request."""
_USER_AGENT = re.compile(rb"\r\n(?i:user-agent): [!-~][ -~]{0,511}+(?=\r\n[^ \t])")
_TRACEPARENT = re.compile(rb"\r\n(?i:traceparent): ([!-~]{1,512}+)(?=\r\n[^ \t])")
_NOT_LEFT_OUT = re.compile(rb"\r\n(?i:user-agent|traceparent)[ \t]*:")


def is_short(head: bytes) -> bool:
    size = len(head)
    return size <= _FEW_BYTES or (size <= MAX_REQUEST_BYTES and head.count(b"\n") <= MAX_LINES)


def without_traces(head: bytes) -> bytes:
    """The same object where there are none."""
    return _TRACES.sub(b"", head)


def without_user_agent(head: bytes) -> bytes:
    """The same object where there is none."""
    return _USER_AGENT.sub(b"", head, 1)


def is_decisive(read: bytes) -> bool:
    """Whether all is left out of `read` that can be: no second `User-Agent`, none of another form, and no trace."""
    return not _NOT_LEFT_OUT.search(read)


def trace_of(head: bytes) -> TraceContext | None:
    return trace_context([value.decode() for value in _TRACEPARENT.findall(head)])
