"""aiohttp's request parser behind a meter: the parser bounds each line of a head, the meter the whole of it.

It also lets no version of HTTP pass but those we speak.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeAlias

from aiohttp import EMPTY_PAYLOAD, StreamReader
from aiohttp.http import HttpProcessingError, HttpRequestParser, HttpVersion10, HttpVersion11
from aiohttp.web_protocol import RequestHandler, RequestPayloadError

from sidecar.core.limits import Limit, Limits
from sidecar.core.model import Moment

MAX_LINE_BYTES = 8190
"""The request line, and each header line: aiohttp's own default."""
_BODY_BUFFER_BYTES = 64 * 1024
_END = b"\r\n\r\n"
_VERSIONS = (HttpVersion11, HttpVersion10)


class _Head(Protocol):
    """What both of aiohttp's parsers make of a head."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def version(self) -> tuple[int, int]: ...
    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]: ...


_Message: TypeAlias = tuple[_Head, StreamReader]


class HeadTooLargeError(HttpProcessingError):
    """A head of more bytes than the limit. Has no text: it would be a part of the head."""

    code = 400


class UnknownVersionError(HttpProcessingError):
    """A version other than 1.0 and 1.1. aiohttp lets some pass, others with one of its parsers, and answers in them."""

    code = 400


class HeadMeter:
    """Stands where aiohttp keeps its parser. Tells `limited` what went beyond a limit."""

    __slots__ = ("_body", "_bytes", "_limited", "_limits", "_loop", "_parser", "began_at", "whole")

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
            max_line_size=min(MAX_LINE_BYTES, limits.max_header_bytes),
            max_field_size=min(MAX_LINE_BYTES, limits.max_header_bytes),
            payload_exception=RequestPayloadError,
            auto_decompress=False,
            max_msg_queue_size=limits.max_pipelined,
        )
        self._loop = loop
        self._limits = limits
        self._limited = limited
        self._body: StreamReader | None = None
        self._bytes = 0
        self.began_at: Moment | None = None
        """When the head that is under way began, by the event loop's clock; None between two requests."""
        self.whole = True
        """Whether all that came was one whole request without a body at a time, so that the next byte begins one."""

    @property
    def rests(self) -> bool:
        """Whether no head and no body is under way."""
        return self.began_at is None and (self._body is None or self._body.is_eof())

    def feed_data(self, data: bytes) -> tuple[Sequence[_Message], bool, bytes]:
        """As the parser's own. Raises `HttpProcessingError`."""
        # Looked at before: what ends a body may bring the next head's first bytes, which are not worth a count.
        in_head = self._body is None or self._body.is_eof()
        messages: Sequence[_Message]
        messages, upgraded, tail = self._parser.feed_data(data)
        self.whole = self.whole and not upgraded and _is_whole(data, messages)
        if messages:
            self._complete(messages, len(data))
        elif in_head and data:
            self._partial(len(data))
        return messages, upgraded, tail

    def _complete(self, messages: Sequence[_Message], size: int) -> None:
        if any(message.version not in _VERSIONS for message, _ in messages):
            raise UnknownVersionError
        # A head is never longer than what brought it: the usual one is not even counted.
        if self._bytes + size > self._limits.max_header_bytes:
            self._check(max(_head_bytes(message) for message, _ in messages))
        if len(messages) >= self._limits.max_pipelined:
            self._limited("pipelined")
        self._body = messages[-1][1]
        self._bytes = 0
        self.began_at = None

    def _partial(self, size: int) -> None:
        if self.began_at is None:
            self.began_at = self._loop.time()
        self._bytes += size
        self._check(self._bytes)

    def _check(self, head_bytes: int) -> None:
        if head_bytes > self._limits.max_header_bytes:
            self._limited("header-bytes")
            raise HeadTooLargeError

    def end(self) -> None:
        """Nothing more will come: whoever reads the body that is under way is told that it is incomplete."""
        if self._body is not None and not self._body.is_eof():
            self._body.set_exception(RequestPayloadError())

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the parser's other methods, which aiohttp calls
        return getattr(self._parser, name)


def _is_whole(data: bytes, messages: Sequence[_Message]) -> bool:
    return len(messages) == 1 and messages[0][1] is EMPTY_PAYLOAD and data.find(_END) == len(data) - len(_END)


def _head_bytes(message: _Head) -> int:
    """The size of a head as it was sent, but for white space."""
    line = len(message.method) + len(message.path) + len(" HTTP/1.1\r\n") + 1
    return line + sum(len(name) + len(value) + len(": \r\n") for name, value in message.raw_headers)
