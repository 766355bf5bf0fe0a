"""Where a request ends: forms in which two servers may see one request or two."""

from __future__ import annotations

from collections.abc import Iterator

from tests.integration.gateway_requests.cases import C_PARSER, CLOSES, UNREADABLE, Case, Family, by_parser, head, post

_SMUGGLED = head(b"GET /api/pay1st/smuggled HTTP/1.1")
_SENT = 'POST /api/pay1st/payments/create "abc"'
_LAST = _SENT + CLOSES
"""A chunked request is the last one of its connection."""
_CHUNKED = b"Transfer-Encoding: chunked"
_LENGTH = b"Content-Length: 3"
_CHUNKS = b"3\r\nabc\r\n0\r\n\r\n"

_ONE_LENGTH = ("one length", "length with a zero before", "length with spaces", "length with an underscore")
_AS_LENGTH = f'POST /api/pay1st/payments/create "{_CHUNKS.decode()}"'
_OTHERWISE = {
    **dict.fromkeys(("chunked", "chunked in capitals", "chunked behind a tab", "nominated"), _LAST),
    # Underscores make another header, which does not pass.
    "an underscore, beside a length": _AS_LENGTH,
    "nominated length": _AS_LENGTH,
}
"""The forms of `_codings` that have one reading."""
_READABLE = (
    "extension",
    "extension in quotes",
    "size with zeros before",
    "two chunks",
    "a request behind the last chunk",
)
_FRAMING_TRAILERS = (b"Content-Length: 30", b"Transfer-Encoding: chunked")
_NO_TRAILERS = (b"X: a\r\n folded", b"X : app", b"no colon", b"X: a\x00", b"X: a\nAccessToken: b")


def _lengths() -> Iterator[tuple[str, Case]]:
    for name, lines in {
        "one length": (_LENGTH,),
        "two equal lengths": (_LENGTH, _LENGTH),
        "two lengths": (_LENGTH, b"Content-Length: 0"),
        "two lengths, the longer last": (b"Content-Length: 0", _LENGTH),
        "two lengths in one line": (b"Content-Length: 3, 3",),
        "length with a plus": (b"Content-Length: +3",),
        "negative length": (b"Content-Length: -3",),
        "hexadecimal length": (b"Content-Length: 0x3",),
        "length with a letter": (b"Content-Length: 3a",),
        "length with a zero before": (b"Content-Length: 03",),
        "length with spaces": (b"Content-Length:  3  ",),
        "length in two words": (b"Content-Length: 3 0",),
        "empty length": (b"Content-Length:",),
        "length with a decimal": (b"Content-Length: 3.0",),
        "length in other digits": ("Content-Length: \uff13".encode(),),
        "length with a space before the colon": (b"Content-Length : 3",),
        "length with an underscore": (_LENGTH, b"Content_Length: 0"),
        "length after a fold": (b"Content-Length:\r\n 3",),
    }.items():
        yield name, post(b"abc", *lines, expected=_SENT if name in _ONE_LENGTH else UNREADABLE)
    if C_PARSER:
        # The parser in Python reads the number, and waits for the body after its 413.
        too_long = b"Content-Length: 99999999999999999999999"
        yield "length beyond any number", post(b"abc", too_long, expected=UNREADABLE)
    yield "no length and no body", post(b"", expected="POST /api/pay1st/payments/create")
    yield (
        "a request as body",
        post(
            _SMUGGLED,
            b"Content-Length: %d" % len(_SMUGGLED),
            expected=f'POST /api/pay1st/payments/create "{_SMUGGLED.decode()}"',
        ),
    )


def _codings() -> Iterator[tuple[str, Case]]:
    for name, lines in {
        "chunked": (_CHUNKED,),
        "CL.TE": (b"Content-Length: %d" % len(_CHUNKS), _CHUNKED),
        "TE.CL": (_CHUNKED, _LENGTH),
        "TE.TE": (_CHUNKED, _CHUNKED),
        "TE.TE, identity last": (_CHUNKED, b"Transfer-Encoding: identity"),
        "TE.TE, identity first": (b"Transfer-Encoding: identity", _CHUNKED),
        "chunked twice in one line": (b"Transfer-Encoding: chunked, chunked",),
        "chunked, identity": (b"Transfer-Encoding: chunked, identity",),
        "identity": (b"Transfer-Encoding: identity",),
        "gzip, chunked": (b"Transfer-Encoding: gzip, chunked",),
        "cow": (b"Transfer-Encoding: cow",),
        "cow beside a length": (b"Transfer-Encoding: cow", _LENGTH),
        "chunked in capitals": (b"transfer-encoding: CHUNKED",),
        "xchunked": (b"Transfer-Encoding: xchunked",),
        "chunked with a parameter": (b"Transfer-Encoding: chunked;q=1",),
        "chunked in quotes": (b'Transfer-Encoding: "chunked"',),
        "chunked with a comma": (b"Transfer-Encoding: chunked,",),
        "comma, chunked": (b"Transfer-Encoding: ,chunked",),
        "chunked behind a tab": (b"Transfer-Encoding:\tchunked",),
        "chunked behind a vertical tab": (b"Transfer-Encoding:\x0bchunked",),
        "chunked with a null": (b"Transfer-Encoding: chunked\x00",),
        "chunked with a byte above 127": (b"Transfer-Encoding: chunked\xff",),
        "a space before the colon": (b"Transfer-Encoding : chunked",),
        "a tab before the colon": (b"Transfer-Encoding\t: chunked",),
        "a space before the name": (b" Transfer-Encoding: chunked",),
        "an underscore, beside a length": (b"Transfer_Encoding: chunked", b"Content-Length: %d" % len(_CHUNKS)),
        "a fold": (b"Transfer-Encoding:\r\n chunked",),
        "a fold of another header": (b"X: 1\r\n Transfer-Encoding: chunked",),
        "a bare line feed before it": (b"X: 1\nTransfer-Encoding: chunked",),
        "a bare return before it": (b"X: 1\rTransfer-Encoding: chunked",),
        "empty": (b"Transfer-Encoding:",),
        "nominated": (b"Connection: Transfer-Encoding", _CHUNKED),
        "nominated length": (b"Connection: Content-Length", b"Content-Length: %d" % len(_CHUNKS)),
    }.items():
        yield name, post(_CHUNKS, *lines, expected=_OTHERWISE.get(name, UNREADABLE))

    # There is no body: what follows is no request.
    underscore = post(_CHUNKS, b"Transfer_Encoding: chunked", expected="POST /api/pay1st/payments/create")
    yield "an underscore", Case(underscore.data, (*underscore.expected, UNREADABLE))


def _chunks() -> Iterator[tuple[str, Case]]:
    for name, body in {
        "extension": b"3;a=b\r\nabc\r\n0\r\n\r\n",
        "extension in quotes": b'3;a="b\\"c"\r\nabc\r\n0;x\r\n\r\n',
        "extension with a line feed": b"3;a=\nb\r\nabc\r\n0\r\n\r\n",
        "line feed behind a size": b"3\nabc\r\n0\r\n\r\n",
        "line feed behind the data": b"3\r\nabc\n0\r\n\r\n",
        "line feed at the end": b"3\r\nabc\r\n0\r\n\n",
        "line feeds alone": b"3\nabc\n0\n\n",
        "return behind a size": b"3\rabc\r\n0\r\n\r\n",
        "size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
        "size with a plus": b"+3\r\nabc\r\n0\r\n\r\n",
        "negative size": b"-3\r\nabc\r\n0\r\n\r\n",
        "size with zeros before": b"0003\r\nabc\r\n000\r\n\r\n",
        "size with a space behind": b"3 \r\nabc\r\n0\r\n\r\n",
        "size with a space before": b" 3\r\nabc\r\n0\r\n\r\n",
        "size with an underscore": b"0_3\r\nabc\r\n0\r\n\r\n",
        "empty size": b"\r\nabc\r\n0\r\n\r\n",
        # The parser in Python waits for the rest.
        **({"size beyond 64 bits": b"10000000000000003\r\nabc\r\n0\r\n\r\n"} if C_PARSER else {}),
        "data longer than its size": b"2\r\nabc\r\n0\r\n\r\n",
        "data shorter than its size": b"4\r\nabc\r\n0\r\n\r\n",
        "no return behind the data": b"3\r\nabc0\r\n\r\n",
        "a request behind the last chunk": b"3\r\nabc\r\n0\r\n\r\n" + _SMUGGLED,
        "a request in place of a trailer": b"3\r\nabc\r\n0\r\n" + _SMUGGLED,
        "two chunks": b"1\r\na\r\n2\r\nbc\r\n0\r\n\r\n",
    }.items():
        yield f"chunk: {name}", post(body, _CHUNKED, expected=_LAST if name in _READABLE else UNREADABLE)
    returns = b"3;a=\rb\r\nabc\r\n0\r\n\r\n"
    yield "chunk: extension with a return", post(returns, _CHUNKED, expected=by_parser(c=UNREADABLE, python=_LAST))


def _trailers() -> Iterator[tuple[str, Case]]:
    for line in (
        b"AccessToken: Bearer app", b"X-SIGNATURE: app", b"X-TIMESTAMP: app", b"X_SIGNATURE: app", b"Via: app",
        b"Authorization: Bearer app", b"Host: app", b"Sidecar-Request: true", b"Content-Length: 30",
        b"Transfer-Encoding: chunked", b"X-Kept: 2", b"X: a\r\n folded", b"X : app", b"no colon", b"X: a\x00",
        b"X: a\nAccessToken: b", b"Connection: keep-alive",
    ):  # fmt: skip
        body = b"3\r\nabc\r\n0\r\n" + line + b"\r\n\r\n"
        refused = by_parser(c=UNREADABLE, python=_LAST) if line in _FRAMING_TRAILERS else UNREADABLE
        expected = refused if line in (*_FRAMING_TRAILERS, *_NO_TRAILERS) else _LAST
        yield f"trailer: {line.decode()!r}", post(body, _CHUNKED, expected=expected)


FRAMING: Family = dict([*_lengths(), *_codings(), *_chunks(), *_trailers()])
