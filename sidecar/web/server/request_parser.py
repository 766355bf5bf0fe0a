"""Splits the bytes of one connection into the parts that aiohttp's parser gets one by one: a head, then its body.

Nothing here decides what a request means. A head is everything up to the first blank line. aiohttp reads in that head
whether a body follows, and how long it is. So a limit can apply to a whole head, requests are answered one at a time,
and an error in a request does not affect the responses to earlier ones. The work grows with the number of bytes, not
with the number of segments.
"""

from __future__ import annotations

import asyncio
import re
import sys

from aiohttp import StreamReader
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http import HttpProcessingError, HttpRequestParser
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

LINE_END, HEAD_END = b"\r\n", b"\r\n\r\n"
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|(?<!\r)\n")
"""Bytes that no valid head contains."""
_EMPTY_LINES = re.compile(rb"(?:\r\n)*+")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Z-]+ [^\x00-\x20\x7f]+ HTTP/1\.[01]\r\n")
"""Methods are case-sensitive (RFC 9110 section 9.1). RTSP and ICE have request lines of the same form."""
_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_NO_LIMIT = 2**30
"""For `_ChunkedBody`, which drops the body at once."""


class HeadTooLargeError(HttpProcessingError):
    """A head with more bytes than the limit. It has no message, which would quote the head."""

    code = 431


class UnreadableHeadError(HttpProcessingError):
    """Bytes that do not begin a valid HTTP/1.0 or 1.1 request. Parsers differ in how they read such bytes."""

    code = 400


class _ChunkedBody:
    """Detects errors in a chunked body. aiohttp reports them to the waiting handler only after it has answered."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(BaseProtocol(loop), loop, _NO_LIMIT)
        ((_, self._body),) = self._parser.feed_data(_CHUNKED_HEAD)[0]

    def is_malformed(self, part: bytes) -> bool:
        try:
            self._parser.feed_data(part)
            self._body.read_nowait()
        except (HttpProcessingError, RequestPayloadError):
            # An error in the bytes after the end of the body is not an error of the body.
            return not self._body.is_eof()
        return False


class RequestParser:
    """`add` takes the received bytes; `next_head` and `next_body` return those that aiohttp may have now."""

    __slots__ = ("_body", "_body_left", "_chunked", "_empty_bytes", "_had_line", "_held", "_looked_at", "_max_bytes")

    def __init__(self, max_head_bytes: int) -> None:
        self._max_bytes = max_head_bytes
        self._held = bytearray()
        self._looked_at = 0
        """How many bytes of `_held` were searched: no head ends in them."""
        self._had_line = False
        """Whether the request line is complete and was accepted."""
        self._empty_bytes = 0
        """The size of the empty lines before the head."""
        self._body: StreamReader | None = None
        self._body_left = 0
        self._chunked: _ChunkedBody | None = None

    @property
    def held_bytes(self) -> int:
        return len(self._held)

    @property
    def held_heads(self) -> int:
        """How many heads end in the held bytes."""
        return self._held.count(HEAD_END)

    @property
    def is_in_body(self) -> bool:
        return self._body is not None and not self._body.is_eof()

    def add(self, data: bytes) -> None:
        self._held += data

    def clear(self) -> None:
        self._held.clear()
        self._looked_at = 0

    def expect_body(self, request: BaseRequest) -> None:
        """Expect the body of `request`, which aiohttp parsed from the latest head."""
        length = request.content_length
        self._body, self._chunked = request.content, _ChunkedBody() if length is None else None
        self._body_left = sys.maxsize if length is None else length

    def end_body(self) -> None:
        """Raise `RequestPayloadError` in the reader of an incomplete body: no more bytes will be received."""
        if self._body is not None and self.is_in_body and self._body.exception() is None:
            self._body.set_exception(RequestPayloadError())

    def next_body(self) -> bytes:
        """Take and return the held bytes of the body; empty where there are none."""
        if not self.is_in_body or not self._held:
            return b""
        part = bytes(self._held[: self._body_left])
        del self._held[: len(part)]
        self._body_left -= len(part)
        if self._chunked is not None and self._chunked.is_malformed(part):
            self._chunked = None
            self.end_body()
        return part

    def next_head(self) -> bytes | None:
        """Take the next head; None until it is complete, and during a body. Raises `HttpProcessingError`."""
        if self.is_in_body:
            return None
        held = self._held
        if not self._had_line:
            self._empty_bytes += _cut_empty_lines(held)
            self._looked_at = 0
        end = held.find(HEAD_END, max(0, self._looked_at - 3))
        # The last line of a head is empty and is not counted. A part of a head may end within that line.
        if self._empty_bytes + (end + 2 if end >= 0 else len(held) - 1) > self._max_bytes:
            raise HeadTooLargeError
        if end < 0:
            self._check_part()
            return None
        head = bytes(held[: end + len(HEAD_END)])
        del held[: len(head)]
        self._looked_at = self._empty_bytes = 0
        self._had_line = False
        check_request_line(head)
        return head

    def _check_part(self) -> None:
        """Refuse bytes that begin no request, such as TLS, at once: their sender may wait for an answer."""
        held, new = self._held, max(0, self._looked_at - 1)
        if _NO_TEXT.search(held, new):
            raise UnreadableHeadError
        if not self._had_line and held.find(LINE_END, new) >= 0:
            self._had_line = True
            check_request_line(held)
        self._looked_at = len(held)


def check_request_line(head: bytes | bytearray) -> None:
    """Check the first line of `head`. Raises `UnreadableHeadError`."""
    if not _REQUEST_LINE.match(head):
        raise UnreadableHeadError


def is_whole_head(data: bytes, max_bytes: int) -> bool:
    """Whether `data` is exactly one head: one blank line, at its end, and no line end but CRLF."""
    size = len(data)
    return (
        data.find(HEAD_END) == size - len(HEAD_END)
        and len(HEAD_END) < size <= max_bytes + len(LINE_END)
        and not data.startswith(LINE_END)
        and data.count(b"\n") == data.count(LINE_END)
    )


def is_plain(request: BaseRequest) -> bool:
    """Whether only another head may follow the request's head."""
    headers = request.headers
    return not (
        request.body_exists
        or "Content-Length" in headers
        or "Transfer-Encoding" in headers
        or "Upgrade" in headers
        or "Expect" in headers
        or request.method == "CONNECT"
    )


def ends_connection(request: BaseRequest) -> bool:
    """Whether the bytes after the request must not be read as another request.

    aiohttp's C parser adds the last trailer field of a chunked request to the head of the next one (seen with 3.14.5):
    with that field, the next caller behind a proxy could pass the guards. After `Upgrade` the parser drops the next
    request. The connection option `close` has precedence over `keep-alive` (RFC 9112 section 9.3). For version 1.0 that
    parser reverses the order.
    """
    headers = request.headers
    if not request.keep_alive or "Transfer-Encoding" in headers or "Upgrade" in headers or request.method == "CONNECT":
        return True
    values = headers.getall("Connection", ())
    return any(option.strip(" \t").lower() == "close" for value in values for option in value.split(","))


def _cut_empty_lines(held: bytearray) -> int:
    """Remove the empty lines at the start of `held`. Returns their size in bytes."""
    found = _EMPTY_LINES.match(held)
    size = found.end() if found else 0
    # A `bytearray` cannot be resized while a match on it exists.
    del found
    del held[:size]
    return size
