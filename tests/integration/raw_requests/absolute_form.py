"""Targets in absolute form, as requests to a proxy have them: authority and Host both have to be allowed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tests.integration.raw_requests.common_requests import (
    AGENT,
    ALL_READY,
    HOST,
    KNOWN,
    OTHER,
    REQUIRED,
    UNREADABLE,
    head,
)
from tests.integration.raw_requests.conversation import (
    HALF_CLOSE,
    READ,
    Conversation,
    Expected,
    Segment,
    by_parser,
    expect,
    family,
)

_TOKEN = expect("200 token default", ALL_READY)
_OF_OTHER = expect("200 token other", "200 ready other")
_REFUSED = expect("403 host-not-allowed", ALL_READY, unix="200 token default")
"""The admin listener has no guards: its responses carry no secret."""
_NOWHERE = expect("404 not-found", "404 not-found")
(_UNREADABLE,) = UNREADABLE
_FOREIGN_HOST = b"Host: CANARY.test"

TARGETS: Mapping[str, tuple[bytes, bytes, Expected]] = {
    "allowed": (b"http://localhost/v1/token", HOST, _TOKEN),
    "allowed, of a profile": (b"http://localhost/v1/token/other", HOST, _OF_OTHER),
    "upper case": (b"HTTP://LOCALHOST:8181/v1/token", HOST, _TOKEN),
    "mixed case": (b"hTtP://LocalHost/v1/token", HOST, _TOKEN),
    "https": (b"https://localhost/v1/token", HOST, _TOKEN),
    "an address": (b"http://127.0.0.1:1/v1/token", HOST, _TOKEN),
    "an address of IPv6": (b"http://[::1]:8181/v1/token", HOST, _TOKEN),
    "foreign": (b"http://CANARY.test/v1/token", HOST, _REFUSED),
    "foreign, upper case": (b"HTTP://CANARY.TEST/v1/token", HOST, _REFUSED),
    "foreign host header": (b"http://localhost/v1/token", _FOREIGN_HOST, _REFUSED),
    "both foreign": (b"http://CANARY.test/v1/token", _FOREIGN_HOST, _REFUSED),
    "another allowed host": (b"http://127.0.0.1/v1/token", b"Host: [::1]", _TOKEN),
    "user": (b"http://CANARY@localhost/v1/token", HOST, _REFUSED),
    "user and password": (b"http://localhost:CANARY@localhost/v1/token", HOST, _REFUSED),
    "allowed user of a foreign host": (b"http://localhost@CANARY.test/v1/token", HOST, _REFUSED),
    "allowed name before a foreign one": (b"http://localhost.CANARY.test/v1/token", HOST, _REFUSED),
    "empty": (b"http:///v1/token", HOST, _UNREADABLE),
    "port alone": (b"http://:8181/v1/token", HOST, _UNREADABLE),
    "port that is none": (b"http://localhost:CANARY/v1/token", HOST, _UNREADABLE),
    "no port after the colon": (b"http://localhost:/v1/token", HOST, _REFUSED),
    "backslash": (b"http://CANARY.test\\@localhost/v1/token", HOST, _UNREADABLE),
    "escaped": (b"http://%6cocalhost/v1/token", HOST, _REFUSED),
    "no path": (b"http://localhost", HOST, _NOWHERE),
    "query and no path": (b"http://localhost?/v1/token", HOST, _NOWHERE),
    "fragment": (b"http://localhost#/v1/token", HOST, by_parser(c=_UNREADABLE, python=_NOWHERE)),
    "two slashes": (b"http://localhost//v1/token", HOST, _NOWHERE),
    "one slash": (b"http:/localhost/v1/token", HOST, _UNREADABLE),
    "no slashes": (b"http:localhost/v1/token", HOST, _UNREADABLE),
    "no scheme": (b"//localhost/v1/token", HOST, _NOWHERE),
    "no slash before it": (b"localhost/v1/token", HOST, _UNREADABLE),
    "twice": (b"http://localhost/http://localhost/v1/token", HOST, _NOWHERE),
    "another scheme": (b"ftp://localhost/v1/token", HOST, _NOWHERE),
    "a file": (b"file:///v1/token", HOST, _UNREADABLE),
}


def _conversations() -> Iterator[tuple[str, Conversation]]:
    for name, (target, host, answered) in TARGETS.items():
        sent = Segment(head(b"GET " + target + b" HTTP/1.1", host, REQUIRED, AGENT), (answered,))
        yield name, Conversation.of(sent)
        yield f"{name}, half-closed", Conversation.of(sent, HALF_CLOSE)
        yield f"{name}, after a known request", Conversation.of(KNOWN, READ, sent, READ, OTHER)
        yield f"{name}, between known requests", Conversation.of(KNOWN + sent + KNOWN + OTHER)


ABSOLUTE_FORM = family(_conversations())
