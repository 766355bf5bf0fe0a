"""The gateway's headers: what may not pass does not, all else does, and no header becomes two.

An input is the header lines of a message, with line feeds between them, as an app or the partner might send them.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable, Sequence

from aiohttp import http_parser
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpVersion11
from aiohttp.http_writer import _serialize_headers
from multidict import CIMultiDict

from sidecar.gateway.handler import _has_line_break
from sidecar.gateway.headers import for_app, for_partner, spelled_alike
from sidecar.web.server.streamed_response import StreamedResponse
from tests.fuzz.conversation import PARSERS
from tests.fuzz.findings import hold

WORDS = (
    b"Connection: ", b"close", b"keep-alive", b"AccessToken: ", b"X-SIGNATURE: ", b"X_TIMESTAMP: ", b"Authorization: ",
    b"Sidecar-Token: ", b"sidecar_answer: ", b"Token-Id: ", b"TE: trailers", b"Trailer: ", b"Upgrade: h2c",
    b"Transfer-Encoding: chunked", b"Content-Length: 0", b"Proxy-Authorization: ", b"X-Forwarded-For: ", b"Via: ",
    b"X-Original-URL: ", b"X-HTTP-Method-Override: ", b"Keep-Alive: ", b"X-App: 1", b"x_app: 2", b"Set-Cookie: ", b"\n",
    b"\r", b"\n ", b"\x00", b"\xc3\xa9", b"\xff", b"_", b"-", b".", b", ", b": ",
)  # fmt: skip
OURS = frozenset({"accesstoken", "x-signature", "x-timestamp"})
_HOP_BY_HOP = {
    "connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings",
    "proxy-authenticate", "proxy-authorization", "proxy-authentication-info", "content-length",
}  # fmt: skip
_NEVER_SENT = _HOP_BY_HOP | OURS | {"host", "expect", "authorization", "origin", "via", "forwarded", "x-real-ip"}
_NEVER_SENT_BEGINNINGS = (
    "sidecar-", "x-forwarded-", "sec-fetch-", "x-original-", "x-rewrite-", "x-http-method", "x-method-override",
)  # fmt: skip
_NEVER_RETURNED = _HOP_BY_HOP | {"sidecar-answer", "sidecar-attempts", "sidecar-token", "token-id", "token-suspect"}
_NAME = rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+)"
_SENT = re.compile(_NAME + rb": ([^\x00-\x08\x0a-\x1f\x7f]*)")
_RETURNED = re.compile(_NAME + rb": ([^\x00\r\n]*)")
"""RFC 9110 section 5.5 lets a recipient keep other control characters."""
_LOOP = asyncio.new_event_loop()
RESPONSE_PARSERS = tuple(dict.fromkeys((http_parser.HttpResponseParser, http_parser.HttpResponseParserPy)))
Field = tuple[str, str]


def check(data: bytes) -> None:
    """Pass the lines on in both directions, as each parser reads them."""
    lines = b"\r\n".join([*data.split(b"\n"), b"", b""])
    for parser in PARSERS:
        _check_request(_parsed(parser, b"GET / HTTP/1.1\r\nHost: x\r\n" + lines))
    for of_responses in RESPONSE_PARSERS:
        _check_response(_parsed(of_responses, b"HTTP/1.1 200 OK\r\n" + lines))


def _parsed(parser: type, head: bytes) -> http_parser.RawRequestMessage | http_parser.RawResponseMessage | None:
    """Return the first message, None where the parser refuses it."""
    try:
        messages = parser(BaseProtocol(_LOOP), _LOOP, 2**16, max_line_size=2**15, max_field_size=2**15).feed_data(head)[
            0
        ]
    except (HttpProcessingError, ValueError):
        return None
    return messages[0][0] if messages else None


def _check_request(message: http_parser.RawRequestMessage | http_parser.RawResponseMessage | None) -> None:
    if message is None:
        return
    fields = list(message.headers.items())
    try:
        "".join(map("".join, fields)).encode()
    except UnicodeEncodeError:
        return  # 400: it could not be sent as it is.
    passed = list(for_partner(fields, OURS))
    expected = [one for one in fields if not _is_dropped(one[0], fields, _NEVER_SENT, _NEVER_SENT_BEGINNINGS)]
    _hold_same(passed, expected)
    spelled = list(spelled_alike(passed))
    _hold_same(spelled, passed)
    names = {name for name, _ in spelled}
    hold(true=len(names) == len({name.lower() for name in names}), what=f"a name in two spellings: {spelled!r}")
    passed = spelled
    sent = _serialize_headers("GET / HTTP/1.1", CIMultiDict(passed))
    _hold_lines(sent, _SENT, [(name.encode(), value.encode()) for name, value in passed])


def _check_response(message: http_parser.RawRequestMessage | http_parser.RawResponseMessage | None) -> None:
    if message is None:
        return
    passed = list(for_app(message.raw_headers))
    # What is no name does not pass; one with white space behind it loses that.
    fields = [(name.rstrip(" \t"), value) for name, value in _texts(message.raw_headers)]
    fields = [one for one in fields if re.fullmatch(_NAME, one[0].encode("latin-1"))]
    expected = [one for one in fields if not _is_dropped(one[0], fields, _NEVER_RETURNED, ())]
    _hold_same(_texts(passed), expected)
    if not _has_line_break([part for field in passed for part in field]):
        response = StreamedResponse(status=200, reason=b"OK", headers=passed, length=None)
        sent = response._head(_Version11(), is_chunked=False, keeps=True)  # type: ignore[arg-type]
        _hold_lines(sent, _RETURNED, passed)


class _Version11:
    """What a response's head is made for."""

    version = HttpVersion11


def _is_dropped(name: str, fields: Iterable[Field], never: set[str], beginnings: tuple[str, ...]) -> bool:
    named = {_careless(one.strip()) for key, value in fields if key.lower() == "connection" for one in value.split(",")}
    read = _careless(name)
    return read in never or read in named or read.startswith(beginnings)


def _careless(name: str) -> str:
    """The name as a server reads it that makes a variable of it."""
    return "".join(one if one.isascii() and one.isalnum() else "-" for one in name.lower())


def _hold_same(passed: Sequence[Field], expected: Sequence[Field]) -> None:
    """Fail unless these are the same headers in the same order; names may differ in the case of letters."""
    read, wanted = ([(name.lower(), value) for name, value in fields] for fields in (passed, expected))
    hold(true=read == wanted, what=f"{passed!r} passed in place of {expected!r}")


def _hold_lines(head: bytes, field: re.Pattern[bytes], fields: Sequence[tuple[bytes, bytes]]) -> None:
    """Fail unless a strict reader finds these headers in the head, and no others."""
    _, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    read = [found and (found[1], found[2]) for found in map(field.fullmatch, lines)]
    hold(true=read == list(fields), what=f"{fields!r} was written as {head!r}")


def _texts(fields: Iterable[tuple[bytes, bytes]]) -> list[Field]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
