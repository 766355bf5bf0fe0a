"""Empty lines and single line ends: before, between and behind requests, up to the limit of a head and beyond it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.integration.raw_requests.common_requests import KNOWN, OTHER, REPORT, TOO_LARGE, UNREADABLE, USUAL, head
from tests.integration.raw_requests.conversation import HALF_CLOSE, READ, Conversation, Segment, family

LIMIT_BYTES = 16 * 1024
"""The setting's default. The empty lines before a head count with it, its last line, which is empty, does not."""
_CRLF = Segment(b"\r\n")


def _few() -> Iterator[tuple[str, Conversation]]:
    for count in (1, 2, 3, 100):
        lines = _CRLF * count
        yield f"{count} before", Conversation.of(lines + KNOWN)
        yield f"{count} before, in a segment of their own", Conversation.of(lines, KNOWN, READ, KNOWN)
        yield f"{count} between", Conversation.of(KNOWN + lines + OTHER)
        yield f"{count} between, after the response", Conversation.of(KNOWN, READ, lines + OTHER, READ, KNOWN)
        yield f"{count} between, in a segment of their own", Conversation.of(KNOWN, READ, lines, KNOWN, READ, OTHER)
        yield f"{count} behind", Conversation.of(KNOWN + lines)
        yield f"{count} behind, half-closed", Conversation.of(KNOWN + lines, HALF_CLOSE)
        yield f"{count} behind a body", Conversation.of(REPORT + lines + OTHER)
        yield f"{count} around all", Conversation.of(lines + KNOWN + lines + OTHER + lines + KNOWN + lines)
    yield "nothing else", Conversation.of(_CRLF, HALF_CLOSE)
    yield "half a line, then a request", Conversation.of(Segment(b"\r"), Segment(b"\n") + KNOWN)


def _padded(spare_bytes: int) -> Segment:
    """A request behind so many empty lines that `spare_bytes` are left below the limit."""
    line = KNOWN.with_line(b"X: x")
    if (len(line.data) + spare_bytes) % 2:
        line = KNOWN.with_line(b"X: xx")
    return _CRLF * ((LIMIT_BYTES - spare_bytes - len(line.data) + 2) // 2) + line


def _at_the_limit() -> Iterator[tuple[str, Conversation]]:
    for spare_bytes in (100, 2, 1, 0):
        whole = _padded(spare_bytes)
        yield f"{spare_bytes} bytes below the limit", Conversation.of(whole + OTHER)
        yield (
            f"{spare_bytes} bytes below the limit, after a known request",
            Conversation.of(KNOWN, READ, whole, READ, OTHER),
        )
        yield f"{spare_bytes} bytes below the limit, behind one", Conversation.of(KNOWN + whole + OTHER)
        yield f"{spare_bytes} bytes below the limit, in two segments", Conversation.of(*whole.cut(9000), READ, OTHER)


def _beyond_the_limit() -> Iterator[tuple[str, Conversation]]:
    floods: Mapping[str, Segment] = {
        "1 byte beyond": _padded(-1),
        "2 bytes beyond": _padded(-2),
        "lines alone": _CRLF * (LIMIT_BYTES // 2 + 1),
        "twice the limit": _CRLF * LIMIT_BYTES,
        "one long line": Segment(head(b"GET /v1/token HTTP/1.1", *USUAL, b"X: " + b"CANARY" * 3000)),
        "one long target": Segment(head(b"GET /v1/token/" + b"CANARY" * 3000 + b" HTTP/1.1", *USUAL)),
    }
    for name, flood in floods.items():
        sent = flood.expecting(*TOO_LARGE)
        yield name, Conversation.of(sent, plays=1)
        yield f"{name}, after a known request", Conversation.of(KNOWN, READ, sent, plays=1)
        yield f"{name}, behind others", Conversation.of(KNOWN + OTHER + sent, plays=1)
        yield f"{name}, a known request behind", Conversation.of(sent + KNOWN, plays=1)


LONE: Mapping[str, bytes] = {
    "an LF before": b"\n" + KNOWN.data,
    "two LF before": b"\n\n" + KNOWN.data,
    "a CR before": b"\r" + KNOWN.data,
    "CR CR LF before": b"\r\r\n" + KNOWN.data,
    "a space and a line end before": b" \r\n" + KNOWN.data,
    "LF alone": KNOWN.data.replace(b"\r\n", b"\n"),
    "CR alone": KNOWN.data.replace(b"\r\n", b"\r") + b"\r\n\r\n",
    "LF after the request line": KNOWN.data.replace(b"\r\n", b"\n", 1),
    "CR after the request line": KNOWN.data.replace(b"\r\n", b"\r", 1),
    "LF in a value": KNOWN.with_line(b"X: CANARY\nSidecar-Request: true").data,
    "CR in a value": KNOWN.with_line(b"X: CANARY\rSidecar-Request: true").data,
    "a null byte in a value": KNOWN.with_line(b"X: CANARY\x00").data,
    "LF at the end": KNOWN.data[:-4] + b"\n\n",
    "LF as the empty line": KNOWN.data[:-2] + b"\n",
}


def _lone() -> Iterator[tuple[str, Conversation]]:
    for name, data in LONE.items():
        sent = Segment(data, UNREADABLE)
        yield name, Conversation.of(sent, plays=1)
        yield f"{name}, a known request behind", Conversation.of(sent + KNOWN, plays=1)
        yield f"{name}, after a known request", Conversation.of(KNOWN, READ, sent, plays=1)
        yield f"{name}, behind others", Conversation.of(KNOWN + OTHER + sent, plays=1)
        yield f"{name}, half-closed", Conversation.of(sent, HALF_CLOSE, plays=1)


EMPTY_LINES = family(_few(), _at_the_limit(), _beyond_the_limit(), _lone())
