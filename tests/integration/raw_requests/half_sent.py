"""Requests that are sent in part: the client closes, or the rest comes around bytes that the fast path knows."""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.raw_requests.common_requests import (
    AGENT,
    BARE,
    HOST,
    JSON,
    KNOWN,
    OTHER,
    REFUSED_BODY,
    REPORT,
    REPORT_BODY,
    REPORTED,
    REQUIRED,
    UNREADABLE,
    USUAL,
    chunked,
    head,
    post,
)
from tests.integration.raw_requests.conversation import (
    CLOSE,
    READ,
    RESET,
    Conversation,
    Segment,
    by_parser,
    expect,
    family,
)

_CHUNKED = chunked(b"/v1/token/rejected", JSON, REPORT_BODY, REPORTED, b"Sidecar-Request: true")
_WHOLE = {"a known request": KNOWN, "a report": REPORT, "a chunked report": _CHUNKED}
_WRONG_METHOD = expect("405 method-not-allowed", "405 method-not-allowed")
_UNKNOWN_METHOD = by_parser(c=UNREADABLE[0], python=_WRONG_METHOD)


def _prefixes() -> Iterator[tuple[str, Conversation]]:
    """Every part of a request, after which the client closes."""
    for name, whole in _WHOLE.items():
        for at in range(len(whole.data)):
            yield f"each part of {name}", Conversation.of(Segment(whole.data[:at]), CLOSE, plays=1)
    for at in range(len(KNOWN.data)):
        part = Segment(KNOWN.data[:at])
        yield "each part and a reset", Conversation.of(part, RESET, plays=1)
        yield "each part after a response", Conversation.of(KNOWN, READ, part, CLOSE, plays=1)


def _cut() -> Iterator[tuple[str, Conversation]]:
    """Every cut of a request whose bytes are known; then a request that shows how the connection is read."""
    for at in range(1, len(KNOWN.data)):
        first, second = KNOWN.cut(at)
        yield "a known request cut at each byte", Conversation.of(first, second, READ, BARE, plays=1)
        yield "the same behind a known one", Conversation.of(KNOWN + first, second + OTHER, plays=1)


def _around() -> Iterator[tuple[str, Conversation]]:
    """The bytes of a known request are one whole segment, and no request."""
    known = Segment(KNOWN.data)
    line = b"GET /v1/token/other HTTP/1.1"
    two_hosts = Segment(head(line, *USUAL)[:-2] + b"X: ")
    yield "in a header's value", Conversation.of(two_hosts, known.expecting(*UNREADABLE), KNOWN)
    one_host = Segment(b"\r\n".join([line, b"X: "]))
    yield "in the first header's value", Conversation.of(one_host, known.expecting(*OTHER.expected))
    no_line = Segment(head(line, *USUAL)[:-2])
    yield "in place of a header line", Conversation.of(no_line, known.expecting(*UNREADABLE), KNOWN)
    yield "behind half a request line", Conversation.of(Segment(line), known.expecting(*UNREADABLE), KNOWN)
    yield "behind one letter", Conversation.of(Segment(b"X"), known.expecting(_UNKNOWN_METHOD), OTHER)
    yield "behind a space", Conversation.of(Segment(b" "), known.expecting(*UNREADABLE), OTHER)
    yield "behind half an empty line", Conversation.of(Segment(b"\r"), known.expecting(*UNREADABLE), OTHER)
    yield "behind an empty line", Conversation.of(Segment(b"\r\n"), KNOWN, OTHER)
    yield "behind an LF", Conversation.of(Segment(b"\n", UNREADABLE), known, OTHER)


def _in_bodies() -> Iterator[tuple[str, Conversation]]:
    size = len(KNOWN.data)
    path, known = b"/v1/token/rejected", Segment(KNOWN.data)
    refused = known.expecting(REFUSED_BODY)

    def announced(length: int, body: bytes = b"") -> Segment:
        return post(path, JSON, body, REFUSED_BODY, length=length).expecting()

    yield "as a body", Conversation.of(announced(size), refused, OTHER)
    yield "as a body, after a response", Conversation.of(KNOWN, READ, announced(size), refused, OTHER)
    yield "as the end of a body", Conversation.of(announced(size + 1, b"{"), refused, OTHER)
    yield "twice as a body", Conversation.of(announced(2 * size), known, refused, OTHER)
    unread = post(b"/v1/token", JSON, b"", _WRONG_METHOD, length=size)
    yield "as a body that is not read", Conversation.of(unread, known, OTHER)
    yield "as a body that is not read, after the response", Conversation.of(unread, READ, known, OTHER)
    # Its last byte, an LF, is left over.
    too_long = Segment(OTHER.data, UNREADABLE)
    yield "longer than a body", Conversation.of(announced(size - 1), refused, too_long)
    asking = REPORT.with_line(b"Expect: 100-continue")
    asking_head, body = asking.cut(-len(REPORT_BODY))
    yield "asked for", Conversation.of(asking + OTHER)
    yield "asked for, in a later segment", Conversation.of(asking_head, body, OTHER)
    yield "asked for, and not sent", Conversation.of(asking_head, CLOSE)
    fields = (HOST, REQUIRED, AGENT, b"Content-Type: application/json", b"Transfer-Encoding: chunked")
    opened = Segment(head(b"POST " + path + b" HTTP/1.1", *fields) + b"%x\r\n" % size)
    yield "as a chunk", Conversation.of(opened, known, Segment(b"\r\n0\r\n\r\n", (REFUSED_BODY.as_last(),)), OTHER)


HALF_SENT = family(_prefixes(), _cut(), _around(), _in_bodies())
