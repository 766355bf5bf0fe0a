"""Several requests in one segment: each is judged for itself, and the responses come in the order of the requests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import reduce
from operator import add

from tests.integration.raw_requests.common_requests import (
    AUTHORIZE,
    BARE,
    CONDITIONAL,
    FOREIGN_HOST,
    GRANT,
    KNOWN,
    LAST,
    NO_HOST,
    OTHER,
    REPORT,
    TEXT,
    TOO_LARGE,
    UNKNOWN_PATH,
    UNKNOWN_PROFILE,
    UNREADABLE,
    get,
    head,
)
from tests.integration.raw_requests.conversation import READ, Conversation, Segment, expect, family

LIMIT = 16
"""The setting's default: so many requests may be sent ahead of their responses."""

_FORWARDED = "403 forwarded-request"
_PAGE = "403 caller-not-allowed"
_READY = "200 ready default other"
BAD: Mapping[str, Segment] = {
    "no required header": BARE,
    "required header twice": get(b"/v1/token", "403 header-required", _READY, b"Sidecar-Request: true"),
    "foreign host": FOREIGN_HOST,
    "no host": NO_HOST,
    "origin": get(b"/v1/token", _PAGE, _READY, b"Origin: http://CANARY.test"),
    "a page's fetch": get(b"/v1/token", _PAGE, _READY, b"Sec-Fetch-Site: cross-site"),
    "forwarded": get(b"/v1/token", _FORWARDED, _READY, b"Forwarded: for=CANARY"),
    "forwarded, spelled otherwise": get(b"/v1/token", _FORWARDED, _READY, b"X_forwarded-FOR: CANARY"),
    "via": get(b"/v1/token", _FORWARDED, _READY, b"Via: 1.1 CANARY"),
    "no such profile": UNKNOWN_PROFILE,
    "no such path": UNKNOWN_PATH,
    "unknown query": get(b"/v1/token?CANARY=1", "400 bad-request", _READY),
    "a body with GET": Segment(
        KNOWN.with_line(b"Content-Length: 6").data + b"CANARY", (expect("400 bad-request", "400 bad-request"),)
    ),
    "no HTTP": Segment(b"CANARY\r\n\r\n", UNREADABLE),
    "a control character": Segment(head(b"GET /v1/token HTTP/1.1", b"X: CANARY\x01"), UNREADABLE),
    "a head beyond the limit": Segment(KNOWN.with_line(b"X: " + b"CANARY" * 3000).data, TOO_LARGE),
}
GOOD: Mapping[str, Segment] = {
    "known": KNOWN,
    "of a profile": OTHER,
    "as text": TEXT,
    "condition": CONDITIONAL,
    "authorize": AUTHORIZE,
    "grant": GRANT,
    "report": REPORT,
    "last": LAST,
}


def _joined(*requests: Segment) -> Segment:
    return reduce(add, requests)


def _good_and_bad() -> Iterator[tuple[str, Conversation]]:
    for name, bad in BAD.items():
        yield f"good, then {name}", Conversation.of(KNOWN + bad)
        yield f"{name}, then good", Conversation.of(bad + KNOWN)
        yield f"{name} between", Conversation.of(KNOWN + bad + KNOWN + OTHER)
        yield f"{name} after a response", Conversation.of(KNOWN, READ, bad + KNOWN)
        yield f"{name} alone after a response", Conversation.of(KNOWN, READ, bad, READ, KNOWN)


def _pairs() -> Iterator[tuple[str, Conversation]]:
    for first_name, first in GOOD.items():
        for second_name, second in GOOD.items():
            yield f"{first_name}, then {second_name}", Conversation.of(first + second)
        yield f"known, {first_name}, known", Conversation.of(KNOWN + first + KNOWN)
        yield f"known, {first_name} later, known", Conversation.of(KNOWN, first, KNOWN)


def _many() -> Iterator[tuple[str, Conversation]]:
    for count in (LIMIT - 1, LIMIT, LIMIT + 1, 2 * LIMIT + 1, 100):
        yield f"{count} known", Conversation.of(KNOWN * count)
        mixed = _joined(*[(KNOWN, UNKNOWN_PROFILE, OTHER, CONDITIONAL)[number % 4] for number in range(count)])
        yield f"{count} of four kinds", Conversation.of(mixed)
        yield f"{count} of four kinds in two segments", Conversation.of(*_halves(mixed))
        yield f"{count} of four kinds, then no HTTP", Conversation.of(mixed + BAD["no HTTP"])
        yield f"{count} of four kinds, then the last", Conversation.of(mixed + LAST + KNOWN)
        yield f"{count} reports between", Conversation.of(KNOWN + REPORT * count + OTHER)
        yield f"{count} known after a response", Conversation.of(KNOWN, READ, KNOWN * count + BARE)


def _under_way() -> Iterator[tuple[str, Conversation]]:
    """A known request that comes while an earlier one is not answered yet."""
    waits = get(b"/v1/token?wait=0.2", "304 empty default", _READY, b"If-None-Match: *")
    yield "known behind a long-poll", Conversation.of(waits, KNOWN, plays=1)
    yield "known behind a long-poll, after a response", Conversation.of(KNOWN, READ, waits, KNOWN + OTHER, plays=1)


def _last() -> Iterator[tuple[str, Conversation]]:
    """Requests that end their connection, with a request behind."""
    for options in (b"close", b"Close", b"keep-alive, close", b"close, keep-alive", b"close\r\nConnection: keep-alive"):
        for version in (b"HTTP/1.0", b"HTTP/1.1"):
            last = KNOWN.with_line(b"Connection: " + options).expecting(*LAST.expected)
            last = Segment(last.data.replace(b"HTTP/1.1", version), last.expected)
            name = f"{version.decode()}, {options.decode().replace(chr(13) + chr(10), ', ')}"
            yield f"{name}, known behind", Conversation.of(last + KNOWN)
            yield f"{name}, known in a later segment", Conversation.of(KNOWN, READ, last, KNOWN)


def _halves(whole: Segment) -> tuple[Segment, Segment]:
    return whole.cut(len(whole.data) // 2)


def _everything() -> Iterator[tuple[str, Conversation]]:
    kept = [one for one in (*GOOD.values(), *BAD.values()) if not one.expected[0].tcp.endswith(" close")]
    yield "everything", Conversation.of(_joined(*kept))
    yield "everything backwards", Conversation.of(_joined(*kept[::-1]))
    yield "everything, one by one", Conversation.of(*[step for one in kept for step in (one, READ)])


PIPELINING = family(_good_and_bad(), _pairs(), _many(), _under_way(), _last(), _everything())
