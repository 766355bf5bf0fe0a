"""Cuts the bytes of one connection into what aiohttp's parser is given at a time: one head, then its body.

Nothing here decides what a request means. A head is everything up to the first blank line; whether a body follows,
and how long it is, is what aiohttp read in that head. So a limit can hold for a whole head, requests are answered one
at a time, and an error in a request does not touch the answers to those before it. The work grows with the number of
bytes, not with the number of pieces they come in.
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
"""What no head contains."""
_EMPTY_LINES = re.compile(rb"(?:\r\n)*+")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Z-]+ [^\x00-\x20\x7f]+ HTTP/1\.[01]\r\n")
"""Methods are case-sensitive (RFC 9110 section 9.1). RTSP and ICE have request lines of the same form."""
_CHUNKED_HEAD = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
_NO_LIMIT = 2**30
"""What is read of a body beside aiohttp's handler is dropped at once."""


class HeadTooLargeError(HttpProcessingError):
    """A head of more bytes than the limit. Has no text: it would be a part of the head."""

    code = 431


class UnreadableHeadError(HttpProcessingError):
    """Bytes that begin no request of HTTP/1.0 or 1.1, which parsers read in different ways."""

    code = 400


class _ChunkedBody:
    """Finds errors in a chunked body: aiohttp tells the handler that waits for it only after that has answered."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self._parser = HttpRequestParser(BaseProtocol(loop), loop, _NO_LIMIT)
        ((_, self._body),) = self._parser.feed_data(_CHUNKED_HEAD)[0]

    def is_malformed(self, part: bytes) -> bool:
        try:
            self._parser.feed_data(part)
            self._body.read_nowait()
        except (HttpProcessingError, RequestPayloadError):
            # What follows the body is no part of it.
            return not self._body.is_eof()
        return False


class RequestParser:
    """`add` takes what was received; `next_head` and `next_body` return what may be handed over."""

    __slots__ = ("_body", "_body_left", "_chunked", "_empty_bytes", "_had_line", "_held", "_looked_at", "_max_bytes")

    def __init__(self, max_head_bytes: int) -> None:
        self._max_bytes = max_head_bytes
        self._held = bytearray()
        self._looked_at = 0
        """How many bytes of it are known to contain no end of a head."""
        self._had_line = False
        """Whether its first line is complete, and was accepted."""
        self._empty_bytes = 0
        """The empty lines before it."""
        self._body: StreamReader | None = None
        self._body_left = 0
        self._chunked: _ChunkedBody | None = None

    @property
    def held_bytes(self) -> int:
        return len(self._held)

    @property
    def held_heads(self) -> int:
        """How many heads end in what is held."""
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
        """`request` is what aiohttp made of the latest head."""
        length = request.content_length
        self._body, self._chunked = request.content, _ChunkedBody() if length is None else None
        self._body_left = sys.maxsize if length is None else length

    def end_body(self) -> None:
        """Nothing more will come: tell the reader of a body that it is incomplete."""
        if self._body is not None and self.is_in_body and self._body.exception() is None:
            self._body.set_exception(RequestPayloadError())

    def next_body(self) -> bytes:
        """Take what is held of the body; empty where there is none."""
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
        """Take the next head; None until it is complete, and while a body is. Raises `HttpProcessingError`."""
        if self.is_in_body:
            return None
        held = self._held
        if not self._had_line:
            self._empty_bytes += _cut_empty_lines(held)
            self._looked_at = 0
        end = held.find(HEAD_END, max(0, self._looked_at - 3))
        # Its last line, which is empty, does not count. A part may end within that.
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
        """Refuse at once what begins no request, such as TLS: its sender may wait for an answer before it goes on."""
        held, new = self._held, max(0, self._looked_at - 1)
        if _NO_TEXT.search(held, new):
            raise UnreadableHeadError
        if not self._had_line and held.find(LINE_END, new) >= 0:
            self._had_line = True
            check_request_line(held)
        self._looked_at = len(held)


def check_request_line(head: bytes | bytearray) -> None:
    """Raises `UnreadableHeadError`."""
    if not _REQUEST_LINE.match(head):
        raise UnreadableHeadError


def is_whole_head(data: bytes, max_bytes: int) -> bool:
    """Whether `data` is plainly one head and nothing else: one blank line, at its end, and no line end but CRLF."""
    size = len(data)
    return (
        data.find(HEAD_END) == size - len(HEAD_END)
        and len(HEAD_END) < size <= max_bytes + len(LINE_END)
        and not data.startswith(LINE_END)
        and data.count(b"\n") == data.count(LINE_END)
    )


def is_plain(request: BaseRequest) -> bool:
    """Whether nothing but another head may follow the request's head."""
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
    """Whether nothing that follows the request may be taken for another one.

    aiohttp's C parser adds the last trailer field of a chunked request to the head of the next one (seen with 3.14.5):
    the next caller behind a proxy would pass the guards by it. After `Upgrade` it drops the next request. `close`
    among the connection options counts before `keep-alive` (RFC 9112 section 9.3), and to that parser after it where
    the version is 1.0.
    """
    headers = request.headers
    if not request.keep_alive or "Transfer-Encoding" in headers or "Upgrade" in headers or request.method == "CONNECT":
        return True
    values = headers.getall("Connection", ())
    return any(option.strip(" \t").lower() == "close" for value in values for option in value.split(","))


def _cut_empty_lines(held: bytearray) -> int:
    """Remove the empty lines that `held` begins with. Returns their bytes."""
    found = _EMPTY_LINES.match(held)
    size = found.end() if found else 0
    # While the match exists the bytes cannot be changed.
    del found
    del held[:size]
    return size
