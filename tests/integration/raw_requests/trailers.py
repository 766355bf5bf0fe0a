"""Trailers: fields that follow a chunked body must not be taken for headers of the next request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.integration.raw_requests.common_requests import (
    BARE,
    FORM,
    GRANT_BODY,
    GRANTED,
    JSON,
    KNOWN,
    NO_HOST,
    REFUSED_BODY,
    REPORT_BODY,
    REPORTED,
    chunked,
)
from tests.integration.raw_requests.conversation import (
    READ,
    Conversation,
    Expected,
    Segment,
    by_parser,
    expect,
    family,
)

FIELDS: Mapping[str, tuple[bytes, Segment]] = {
    "required header": (b"Sidecar-Request: true", BARE),
    "host": (b"Host: localhost", NO_HOST),
    "foreign host": (b"Host: CANARY.test", KNOWN),
    "origin": (b"Origin: http://CANARY.test", KNOWN),
    "authorization": (b"Authorization: Bearer CANARY", KNOWN),
    "condition": (b"If-None-Match: *", KNOWN),
    "proxy's token": (b"Sidecar-Token: CANARY", KNOWN),
    "forwarding": (b"X-Forwarded-For: CANARY", KNOWN),
    "length": (b"Content-Length: 30", KNOWN),
    "coding": (b"Transfer-Encoding: chunked", KNOWN),
    "connection": (b"Connection: keep-alive", KNOWN),
}
"""A field, and the request whose response would change if the field were one of its headers."""

POSTS: Mapping[str, tuple[bytes, bytes, bytes, Expected]] = {
    "authorize": (b"/v1/authorize", b"text/plain", b"CANARY", expect("200 header default", "404 not-found")),
    "report": (b"/v1/token/rejected", JSON, REPORT_BODY, REPORTED),
    "grant": (b"/oauth/token", FORM, GRANT_BODY, GRANTED),
}
"""The paths that take a body."""

_REFUSED: Mapping[str, Expected] = {"report": REFUSED_BODY, "grant": expect("400 bad-request", "404 not-found")}
_FRAMING = ("length", "coding")
"""Fields that no trailer may have (RFC 9110 section 6.5.1). The parser in C refuses a body that ends with one."""


def _placed(first: Segment, following: Segment) -> Iterator[tuple[str, Conversation]]:
    yield "first", Conversation.of(first + following, plays=1)
    yield "after a known request", Conversation.of(KNOWN, READ, first + following, plays=1)
    yield "in one segment with a known request", Conversation.of(KNOWN + first + following, plays=1)
    yield "before a later segment", Conversation.of(KNOWN, READ, first, following, plays=1)
    yield "before a segment after its response", Conversation.of(KNOWN, READ, first, READ, following, plays=1)


def _fields() -> Iterator[tuple[str, Conversation]]:
    for name, (field, following) in FIELDS.items():
        for post, (path, media_type, body, answered) in POSTS.items():
            if name in _FRAMING and post in _REFUSED:
                answered = by_parser(c=_REFUSED[post], python=answered)
            for place, conversation in _placed(chunked(path, media_type, body, answered, field), following):
                yield f"{name}, {post}, {place}", conversation


def _several() -> Iterator[tuple[str, Conversation]]:
    every = [field for field, _ in FIELDS.values()]
    for name, lines in {
        "every field": every,
        "every field, the required header last": every[::-1],
        "announced": [b"Sidecar-Request: true"],
        "long": [b"X: " + b"CANARY" * 1000, b"Sidecar-Request: true"],
        "no trailer": [],
    }.items():
        first = chunked(*POSTS["authorize"], *lines)
        if name == "announced":
            first = first.with_line(b"Trailer: Sidecar-Request")
        for place, conversation in _placed(first, BARE):
            yield f"{name}, {place}", conversation


def _cut() -> Iterator[tuple[str, Conversation]]:
    """Cut at every byte, after a known request."""
    for post, field in (("authorize", "required header"), ("report", "condition")):
        line, following = FIELDS[field]
        whole = chunked(*POSTS[post], line) + following
        for at in range(1, len(whole.data)):
            yield f"{field}, {post}, cut at each byte", Conversation.of(KNOWN, READ, *whole.cut(at), plays=1)


TRAILERS = family(_fields(), _several(), _cut())
