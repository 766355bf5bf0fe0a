"""aiohttp's request parser, which is given one whole head at a time.

This module decides where a head begins and ends, what its first line may be, and how many bytes it may have with the
empty lines before it; aiohttp's two parsers differ there. The work for a head grows with its bytes, not its pieces.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias, cast

from aiohttp import EMPTY_PAYLOAD, StreamReader
from aiohttp.http import HttpProcessingError, HttpRequestParser
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo

from sidecar.core.limits import Limit, Limits
from sidecar.core.model import Moment
from sidecar.web.request_heads import (
    HEAD_END,
    LINE_END,
    NO_TEXT,
    Head,
    HeadTooLargeError,
    UnreadableHeadError,
    asks_to_close,
    check_line,
    cut_empty_lines,
    taints_the_next,
)

_BODY_BUFFER_BYTES = 64 * 1024

_Message: TypeAlias = tuple[Head | _ErrInfo, StreamReader]


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
        messages: list[_Message] = []
        try:
            if nothing_held and self._is_one_head(data):
                # As `_read` would, without a second look.
                self._is_first, self.began_at, self._empty_bytes = False, None, 0
                messages.append(self._parse(data))
            else:
                self._held += data
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

    def _is_one_head(self, data: bytes) -> bool:
        """Whether these bytes are one head and nothing else, where one may begin: nearly every request is."""
        size = len(data)
        return (
            data.find(HEAD_END) == size - len(HEAD_END) > 0
            and self._empty_bytes + size - 2 <= self._limits.max_header_bytes
            and not data.startswith(LINE_END)
            and (self._body is None or self._body.is_eof())
            and not self._is_last
            and self._queued < self._limits.max_pipelined
        )

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
            self._empty_bytes += cut_empty_lines(held)
            self._looked_at = 0
        end = held.find(HEAD_END, max(0, self._looked_at - 3))
        # Its last line, which is empty, does not count. A part may end within that.
        if self._empty_bytes + (end + 2 if end >= 0 else len(held) - 1) > self._limits.max_header_bytes:
            self._limited("header-bytes")
            raise HeadTooLargeError
        if end < 0:
            self._look_at_part()
            return None
        size = end + len(HEAD_END)
        head = bytes(held[:size])
        del held[:size]
        self._looked_at = self._empty_bytes = 0
        self._had_line = self._is_first = False
        self.began_at = None
        return head

    def _look_at_part(self) -> None:
        """Refuse at once what begins no request, such as TLS: who sent it may wait for a word of ours."""
        held, new = self._held, max(0, self._looked_at - 1)
        if NO_TEXT.search(held, new):
            raise UnreadableHeadError
        if not self._had_line and held.find(LINE_END, new) >= 0:
            self._had_line = True
            check_line(held)
        self._looked_at = len(held)
        # Some old clients end a request with an empty line, and send the next one much later.
        if self.began_at is None and (held or self._is_first):
            self.began_at = self._loop.time()

    def _parse(self, head: bytes) -> _Message:
        check_line(head)
        try:
            ((message, self._body),) = cast("Sequence[tuple[Head, StreamReader]]", self._parser.feed_data(head)[0])
            self._body_left = int(message.headers.get("Content-Length", sys.maxsize))
        except ValueError:
            # aiohttp's, for a number of more digits than Python takes.
            raise UnreadableHeadError from None
        if not message.should_close and (asks_to_close(message) or taints_the_next(message)):
            message = message._replace(should_close=True)
        self._is_last = message.should_close
        return message, self._body

    def __getattr__(self, name: str) -> Any:  # noqa: ANN401 - the parser's other methods, which aiohttp calls
        return getattr(self._parser, name)


def _is_whole(data: bytes, messages: Sequence[_Message]) -> bool:
    return len(messages) == 1 and messages[0][1] is EMPTY_PAYLOAD and data.find(HEAD_END) == len(data) - len(HEAD_END)
