"""Upgrades, CONNECT and the preface of HTTP/2: the response ends the connection, and what follows is no request."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.integration.raw_requests.common_requests import (
    AGENT,
    BARE,
    HOST,
    KNOWN,
    OTHER,
    REPORT,
    REQUIRED,
    UNREADABLE,
    head,
)
from tests.integration.raw_requests.conversation import (
    HALF_CLOSE,
    READ,
    Conversation,
    Segment,
    Step,
    expect,
    expect_everywhere,
    family,
)

ASKED: Mapping[str, tuple[bytes, ...]] = {
    "h2c": (b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c", b"HTTP2-Settings: CANARY"),
    "websocket": (
        b"Connection: Upgrade",
        b"Upgrade: websocket",
        b"Sec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: CANARYCANARYCANARYCANA==",
    ),
    "unknown": (b"Connection: Upgrade", b"Upgrade: CANARY/1.0"),
    "without Connection": (b"Upgrade: h2c",),
    "kept alive": (b"Connection: keep-alive", b"Upgrade: websocket"),
    "empty": (b"Connection: Upgrade", b"Upgrade:"),
    "TLS": (b"Connection: Upgrade", b"Upgrade: TLS/1.0"),
}
_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_SETTINGS_FRAME = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def _connects() -> Iterator[tuple[str, Segment]]:
    nowhere, wrong_method = expect_everywhere("404 not-found close"), expect_everywhere("405 method-not-allowed close")
    foreign = (expect("403 host-not-allowed close", "404 not-found close", unix="404 not-found close"),)
    for name, target, host, expected in (
        ("CONNECT to this host", b"localhost:8181", HOST, nowhere),
        ("CONNECT to another host", b"CANARY.test:443", b"Host: CANARY.test:443", foreign),
        ("CONNECT to a path", b"/v1/token", HOST, wrong_method),
        ("CONNECT without a port", b"localhost", HOST, nowhere),
    ):
        yield name, Segment(head(b"CONNECT " + target + b" HTTP/1.1", host, REQUIRED, AGENT), expected)


def _firsts() -> Iterator[tuple[str, Segment]]:
    for name, lines in ASKED.items():
        for kind, request in (("GET", KNOWN), ("POST", REPORT)):
            (answered,) = request.expected
            yield f"{name}, {kind}", request.with_line(*lines).expecting(answered.as_last())
    yield "preface of HTTP/2", Segment(_PREFACE, UNREADABLE)
    yield "preface and settings of HTTP/2", Segment(_PREFACE + _SETTINGS_FRAME, UNREADABLE)


def _around(first: Segment) -> Iterator[tuple[str, tuple[Step, ...]]]:
    """What is sent around one request that ends its connection."""
    behind = BARE + OTHER + KNOWN
    yield "alone", (first,)
    yield "requests behind", (first + behind,)
    yield "a known request behind", (first + KNOWN,)
    yield "requests in a later segment", (KNOWN, READ, first, behind)
    yield "a known request after the response", (KNOWN, READ, first, READ, KNOWN)
    yield "between others", (KNOWN + OTHER + first + behind,)
    yield "frames behind", (first + Segment(_SETTINGS_FRAME + b"\x81\x06CANARY"),)


def _conversations() -> Iterator[tuple[str, Conversation]]:
    for name, first in _firsts():
        for place, steps in _around(first):
            yield f"{name}, {place}", Conversation.of(*steps)
            yield f"{name}, {place}, half-closed", Conversation.of(*steps, HALF_CLOSE)
    for name, first in _connects():
        for place, steps in _around(first):
            yield f"{name}, {place}", Conversation.of(*steps, HALF_CLOSE)
    # The parser in Python takes all that follows CONNECT for a body, which is read for a second and thrown away.
    yield "CONNECT, left open", Conversation.of(first + KNOWN, plays=1)


UPGRADES = family(_conversations())
