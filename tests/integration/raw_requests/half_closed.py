"""Clients that close their writing side: each complete request is answered, and then the connection ends."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.integration.raw_requests.common_requests import (
    ALL_READY,
    AUTHORIZE,
    BARE,
    CONDITIONAL,
    FOREIGN_HOST,
    FORM,
    GRANT,
    GRANT_BODY,
    JSON,
    KNOWN,
    LAST,
    OTHER,
    REFUSED_BODY,
    REPORT,
    REPORT_BODY,
    TEXT,
    TOKEN,
    UNKNOWN_PATH,
    UNKNOWN_PROFILE,
    chunked,
    get,
    post,
)
from tests.integration.raw_requests.conversation import (
    HALF_CLOSE,
    READ,
    Conversation,
    Segment,
    expect,
    family,
)


def _admin(path: bytes, content: str) -> Segment:
    return get(path, "404 not-found", f"200 {content}")


PATHS: Mapping[str, Segment] = {
    "token": KNOWN,
    "token of a profile": OTHER,
    "token as text": TEXT,
    "condition": CONDITIONAL,
    "min_ttl": get(b"/v1/token?min_ttl=5", "200 token default", ALL_READY),
    "min_ttl of a profile": get(b"/v1/token/other?min_ttl=5", "200 token other", "200 ready other"),
    "wait": get(b"/v1/token?wait=0.01", "304 empty default", ALL_READY, b"If-None-Match: *"),
    "wait for a profile": get(b"/v1/token/other?wait=0.01", "304 empty other", "200 ready other", b"If-None-Match: *"),
    "wait that is over": get(b"/v1/token?wait=60", "200 token default", ALL_READY, b'If-None-Match: "CANARY"'),
    "HEAD": Segment(KNOWN.data.replace(b"GET", b"HEAD"), (expect("200 empty default", "200 empty"),)),
    "authorize": AUTHORIZE,
    "authorize of a profile": get(b"/v1/authorize/other", "200 header other", "404 not-found"),
    "authorize a DELETE": Segment(AUTHORIZE.data.replace(b"GET", b"DELETE"), AUTHORIZE.expected),
    "grant": GRANT,
    "report": REPORT,
    "report of a profile": post(b"/v1/token/other/rejected", JSON, REPORT_BODY, REPORT.expected[0]),
    "description": get(b"/openapi.json", "200 openapi", "404 not-found"),
    "last": LAST,
    "HTTP/1.0": Segment(KNOWN.data.replace(b"HTTP/1.1", b"HTTP/1.0"), (TOKEN.as_last(),)),
    "no such profile": UNKNOWN_PROFILE,
    "no such path": UNKNOWN_PATH,
    "no required header": BARE,
    "foreign host": FOREIGN_HOST,
    "livez": _admin(b"/livez", "alive"),
    "readyz": _admin(b"/readyz", "ready default other"),
    "readyz of a profile": _admin(b"/readyz/other", "ready other"),
    "startupz": _admin(b"/startupz", "ready default other"),
    "metrics": _admin(b"/metrics", "plain"),
    "status.json": _admin(b"/status.json", "status"),
    "status": _admin(b"/status", "html"),
    "status.css": _admin(b"/status.css", "css"),
    "status.js": _admin(b"/status.js", "javascript"),
}

_BROKEN_GRANT = expect("400 bad-request", "404 not-found")
HALF_BODIES: Mapping[str, Segment] = {
    "half a report": post(b"/v1/token/rejected", JSON, b'{"tokenId": "CAN', REFUSED_BODY, length=100),
    "half a grant": post(b"/oauth/token", FORM, GRANT_BODY, _BROKEN_GRANT, length=100),
    "no body of a report": post(b"/v1/token/rejected", JSON, b"", REFUSED_BODY, length=100),
}


def _half_chunks() -> Iterator[tuple[str, Segment]]:
    whole = chunked(b"/v1/token/rejected", JSON, REPORT_BODY, REFUSED_BODY)
    for name, bytes_missing in (("end", 2), ("last chunk", 5), ("end of a chunk", 7), ("half a chunk", 15)):
        yield f"chunked, without its {name}", Segment(whole.data[:-bytes_missing], whole.expected)


def _bodies() -> Iterator[tuple[str, Conversation]]:
    for name, sent in [*HALF_BODIES.items(), *_half_chunks()]:
        yield name, Conversation.of(sent, HALF_CLOSE)
        yield f"{name}, after a known request", Conversation.of(KNOWN, READ, sent, HALF_CLOSE)
        yield f"{name}, in one segment with a known request", Conversation.of(KNOWN + sent, HALF_CLOSE)


def _heads() -> Iterator[tuple[str, Conversation]]:
    yield "nothing sent", Conversation.of(HALF_CLOSE)
    yield "after a response", Conversation.of(KNOWN, READ, HALF_CLOSE)
    yield "after two responses", Conversation.of(KNOWN, READ, OTHER, READ, HALF_CLOSE)
    for at in range(1, len(KNOWN.data)):
        half = Segment(KNOWN.data[:at])
        yield "each part of a head", Conversation.of(half, HALF_CLOSE, plays=1)
        yield "each part of a head behind others", Conversation.of(KNOWN + UNKNOWN_PROFILE + half, HALF_CLOSE, plays=1)
        yield "each part of a head after a response", Conversation.of(KNOWN, READ, half, HALF_CLOSE, plays=1)


def _several() -> Iterator[tuple[str, Conversation]]:
    for count in (2, 16, 17, 60):
        mixed = (KNOWN + UNKNOWN_PROFILE + OTHER) * count
        yield f"{count} times three requests", Conversation.of(mixed, HALF_CLOSE)
    waits = PATHS["wait"] + KNOWN + PATHS["wait for a profile"] + OTHER
    yield "long-polls among others", Conversation.of(waits, HALF_CLOSE)


def _paths() -> Iterator[tuple[str, Conversation]]:
    for name, sent in PATHS.items():
        yield name, Conversation.of(sent, HALF_CLOSE)
        yield f"{name}, after a known request", Conversation.of(KNOWN, READ, sent, HALF_CLOSE)
        yield f"{name}, behind others", Conversation.of(KNOWN + UNKNOWN_PROFILE + sent, HALF_CLOSE)
        yield f"{name}, in two segments", Conversation.of(*sent.cut(len(sent.data) // 2), HALF_CLOSE)


HALF_CLOSED = family(_paths(), _bodies(), _heads(), _several())
