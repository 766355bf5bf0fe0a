"""What a case is: the bytes of one request, what becomes of it, and the headers of the app that pass with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

from aiohttp import http_parser

from tests.integration.gateway_requests.service import CALLER_TOKEN

C_PARSER = http_parser.HttpRequestParser is not http_parser.HttpRequestParserPy
CLOSES = " close"
"""The end of an expected text where the response ends the connection."""
PATH = b"/api/pay1st/payments"
CREATE = b"/api/pay1st/payments/create"
KEPT = (b"X-Kept", b"1")
"""A header that every request has, and that passes."""
USUAL = (b"Host: localhost", b"Sidecar-Request: true", b"Authorization: Bearer " + CALLER_TOKEN.encode(), b"X-Kept: 1")
NOT_ALLOWED = "403 gateway-not-allowed"
UNREADABLE = "400 bad-request close"


@dataclass(frozen=True, slots=True)
class Case:
    """`expected`: what becomes of the request, see `checks.play`. `kept`: which of its headers the partner gets too."""

    data: bytes
    expected: tuple[str, ...]
    kept: tuple[tuple[bytes, bytes], ...] = ()


Family: TypeAlias = Mapping[str, Case]


def by_parser(*, c: str, python: str) -> str:
    """Return the text for the parser in use, for what one of aiohttp's two parsers refuses."""
    return c if C_PARSER else python


def head(line: bytes, *fields: bytes, usual: tuple[bytes, ...] = USUAL) -> bytes:
    return b"\r\n".join([line, *usual, *fields, b"", b""])


def get(target: bytes, *expected: str) -> Case:
    """A GET of the target."""
    return Case(head(b"GET " + target + b" HTTP/1.1"), expected)


def with_headers(*lines: bytes, expected: str = "GET /api/pay1st/payments", kept: tuple[bytes, ...] = ()) -> Case:
    """A GET with further header lines, of which the partner gets those in `kept`."""
    pairs = tuple(line.split(b": ", 1) for line in kept)
    return Case(head(b"GET " + PATH + b" HTTP/1.1", *lines), (expected,), tuple((one[0], one[1]) for one in pairs))


def post(body: bytes, *lines: bytes, expected: str) -> Case:
    """A POST with these lines of framing, and these bytes behind the head."""
    return Case(head(b"POST " + CREATE + b" HTTP/1.1", *lines) + body, (expected,))


AFTER = head(b"GET /api/pay1st/after HTTP/1.1")
AFTER_TEXT = "GET /api/pay1st/after"
