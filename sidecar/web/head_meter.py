"""aiohttp's request parser, which is given one whole head at a time.

This module decides where a head begins and ends, what its first line may be, and how many bytes it may have with the
empty lines before it; aiohttp's two parsers differ there. The work for a head grows with its bytes, not its pieces.
"""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias, cast

from aiohttp import EMPTY_PAYLOAD, StreamReader
from aiohttp.http import HttpProcessingError, HttpRequestParser
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo
from multidict import CIMultiDictProxy

from sidecar.core.limits import Limit, Limits
from sidecar.core.model import Moment

_BODY_BUFFER_BYTES = 64 * 1024
_LINE_END, _HEAD_END = b"\r\n", b"\r\n\r\n"
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")
_REQUEST_LINE = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Z-]+ [^\x00-\x20\x7f]+ HTTP/1\.[01]\r\n")
"""Methods tell upper from lower case (RFC 9110 section 9.1); RTSP and ICE have request lines of the same form."""
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f]|(?<!\r)\n")


class _Request(Protocol):
    @property
    def method(self) -> str: ...
    @property
    def headers(self) -> CIMultiDictProxy[str]: ...


class _Head(_Request, Protocol):
    """What both of aiohttp's parsers make of a head."""

    @property
    def should_close(self) -> bool: ...
    def _replace(self, **changes: object) -> _Head: ...


_Message: TypeAlias = tuple[_Head | _ErrInfo, StreamReader]


class HeadTooLargeError(HttpProcessingError):
    """A head of more bytes than the limit. Has no text: it would be a part of the head."""

    code = 431


class UnreadableHeadError(HttpProcessingError):
    """Bytes that begin no request of HTTP/1.0 or 1.1, which parsers read in different ways."""

    code = 400


class HeadMeter:
    """Stands where aiohttp keeps its parser. Tells `limited` what went beyond a limit."""

    __slots__ = (
        "_body", "_body_left", "_empty_bytes", "_had_line", "_held", "_is_first", "_is_last", "_limited", "_limits",
        "_looked_at", "_loop", "_parser", "_queued", "began_at", "whole",
    )  # fmt: skip

    def __init__(
        self,
        protocol: RequestHandler,
        loop: asyncio.AbstractEventLoop,
        limits: Limits,
        limited: Callable[[Limit], None],
    ) -> None:
        self._parser = HttpRequestParser(
            protocol,
            loop,
            _BODY_BUFFER_BYTES,
            max_line_size=limits.max_header_bytes,
            max_field_size=limits.max_header_bytes,
            payload_exception=RequestPayloadError,
            auto_decompress=False,
        )
        self._loop = loop
        self._limits = limits
        self._limited = limited
        self._held = bytearray()
        """What came and is not given to the parser yet."""
        self._looked_at = 0
        """How many bytes of it are known to hold no end of a head."""
        self._had_line = False
        """Whether its first line is whole, and was found good."""
        self._empty_bytes = 0
        """The empty lines before it."""
        self._queued = 0
        self._is_first = True
        self._is_last = False
        """Whether the connection ends with the request that came last: what follows is no request."""
        self._body: StreamReader | None = None
        self._body_left = 0
        self.began_at: Moment | None = None
        """When the head that is under way began, by the event loop's clock; None between two requests."""
        self.whole = True
        """Whether all that came was one whole request without a body at a time, so that the next byte begins one."""

    @property
    def rests(self) -> bool:
        """Whether no head and no body is under way."""
        return self.began_at is None and (self._body is None or self._body.is_eof())

    def feed_data(self, data: bytes) -> tuple[Sequence[_Message], bool, bytes]:
        """As the parser's own, but never raises: an error is the last message, after those that came before it."""
        nothing_held = not self._held
        self._held += data
        messages: list[_Message] = []
        try:
            self._read(messages)
        except HttpProcessingError as error:
            # It leads to frames that hold the connection, which would hold it.
            error.__traceback__ = None
            messages.append((_ErrInfo(error.code, error, ""), EMPTY_PAYLOAD))
            self._is_last = True
            self.end()
        self._queued += len(messages)
        self.whole = self.whole and nothing_held and not self._held and _is_whole(data, messages)
        if len(messages) >= self._limits.max_pipelined:
            self._limited("pipelined")
        return messages, False, b""

    def message_consumed(self) -> None:
        """As the parser's own: one more request may be sent ahead."""
        self._queued -= 1

    def end(self) -> None:
        """Nothing more will come: whoever reads the body that is under way is told that it is incomplete."""
        self._held.clear()
        self.began_at = None
        if self._body is not None and not self._body.is_eof() and self._body.exception() is None:
            self._body.set_exception(RequestPayloadError())

    def _read(self, messages: list[_Message]) -> None:
        """Add the requests that are whole, as many as may be sent ahead."""
        while self._feed_body() and not self._is_last:
            if self._queued + len(messages) >= self._limits.max_pipelined:
                return
            head = self._next_head()
            if head is None:
                return
            messages.append(self._parse(head))
        if self._is_last:
            self._held.clear()

    def _feed_body(self) -> bool:
        """Give the parser what there is of the body that is under way. Returns whether none is, or not any more."""
        if self._body is None or self._body.is_eof():
            return True
        part = bytes(self._held[: self._body_left])
        del self._held[: len(part)]
        self._body_left -= len(part)
        self._parser.feed_data(part)
        return self._body.is_eof()

    def _next_head(self) -> bytes | None:
        """The head that begins what is held, once it is whole. Raises `HttpProcessingError`."""
        held = self._held
        if not self._had_line:
            self._empty_bytes += _cut_empty_lines(held)
            self._looked_at = 0
        end = held.find(_HEAD_END, max(0, self._looked_at - 3))
        # Its last line, which is empty, does not count. A part may end within that.
        if self._empty_bytes + (end + 2 if end >= 0 else len(held) - 1) > self._limits.max_header_bytes:
            self._limited("header-bytes")
            raise HeadTooLargeError
        if end < 0:
            self._look_at_part()
            return None
        size = end + len(_HEAD_END)
        head = bytes(held[:size])
        del held[:size]
        self._looked_at = self._empty_bytes = 0
        self._had_line = self._is_first = False
        self.began_at = None
        return head

    def _look_at_part(self) -> None:
        """Refuse at once what begins no request, such as TLS: who sent it may wait for a word of ours."""
        held, new = self._held, max(0, self._looked_at - 1)
        if _NO_TEXT.search(held, new):
            raise UnreadableHeadError
        if not self._had_line and held.find(_LINE_END, new) >= 0:
            self._had_line = True
            _check_line(held)
        self._looked_at = len(held)
        # Some old clients end a request with an empty line, and send the next one much later.
        if self.began_at is None and (held or self._is_first):
            self.began_at = self._loop.time()

    def _parse(self, head: bytes) -> _Message:
        _check_line(head)
        try:
            ((message, self._body),) = cast("Sequence[tuple[_Head, StreamReader]]", self._parser.feed_data(head)[0])
            self._body_left = int(message.headers.get("Content-Length", sys.maxsize))
        except ValueError:
            # aiohttp's, for a number of more digits than Python takes.
            raise UnreadableHeadError from None
        if not message.should_close and _asks_to_close(message):
            message = message._replace(should_close=True)
        self._is_last = message.should_close or taints_the_next(message)
        return message, self._body

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the parser's other methods, which aiohttp calls
        return getattr(self._parser, name)


def taints_the_next(message: _Request) -> bool:
    """Whether what follows on the connection must not be taken for a request.

    aiohttp's C parser adds the last trailer field of a chunked request to the head of the next one (seen with 3.14.5):
    the next caller behind a proxy would pass the guards by it. After `Upgrade` it drops the next request.
    """
    return message.method == "CONNECT" or any(name in message.headers for name in ("Transfer-Encoding", "Upgrade"))


def _asks_to_close(message: _Head) -> bool:
    """Whether `close` is among the connection options, which counts before `keep-alive` (RFC 9112 section 9.3).

    To aiohttp's C parser `keep-alive` counts first where the version is 1.0.
    """
    options = ",".join(message.headers.getall("Connection", ())).lower().split(",")
    return any(option.strip(" \t") == "close" for option in options)


def _check_line(head: bytes | bytearray) -> None:
    if not _REQUEST_LINE.match(head):
        raise UnreadableHeadError


def _cut_empty_lines(held: bytearray) -> int:
    """Take the empty lines away that `held` begins with. Returns their bytes."""
    found = _EMPTY_LINES.match(held)
    size = found.end() if found else 0
    # While it lives the bytes cannot be changed.
    del found
    del held[:size]
    return size


def _is_whole(data: bytes, messages: Sequence[_Message]) -> bool:
    return len(messages) == 1 and messages[0][1] is EMPTY_PAYLOAD and data.find(_HEAD_END) == len(data) - len(_HEAD_END)
