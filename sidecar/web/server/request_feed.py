"""Feeds the bytes of one connection to aiohttp's handler: one request at a time, the next one after the response."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiohttp.http import HttpProcessingError
from aiohttp.web_request import BaseRequest

from sidecar.core.model import MonotonicTime
from sidecar.web.server.request_handler import ConnectionHandler, HandlerTransport
from sidecar.web.server.request_parser import (
    RequestParser,
    UnreadableHeadError,
    check_request_line,
    ends_connection,
)

if TYPE_CHECKING:
    from sidecar.web.server.protocol import HttpConnection


class RequestFeed:
    """Created at the first segment that the fast path does not know; creates the handler at the first complete head."""

    __slots__ = (
        "_connection", "_handler", "_has_begun", "_is_first", "_is_full", "_loop", "_parser", "began_at", "ends",
        "is_responding",
    )  # fmt: skip

    def __init__(self, connection: HttpConnection, accepted_at: MonotonicTime | None) -> None:
        """`accepted_at` is when the connection was accepted, or None if an earlier request already has its response."""
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser(connection.limits.max_header_bytes)
        self._has_begun = False
        """Whether our handler has begun the current request."""
        self.ends = False
        """Whether the latest request is the last one on its connection."""
        self._is_full = False
        self._is_first = accepted_at is not None
        self.began_at = accepted_at
        """When the unfinished head began, by the event loop's clock; None between two requests."""
        self._handler: ConnectionHandler | None = None
        self.is_responding = False
        """Whether a head was fed to the handler, and its response is not written yet."""

    @property
    def is_receiving(self) -> bool:
        """Whether a head or a body is incomplete."""
        return self.began_at is not None or self._parser.is_in_body

    @property
    def is_at_boundary(self) -> bool:
        """Whether every response was written, and no byte of another request was received."""
        return not (self.is_responding or self.is_receiving or self._parser.held_bytes)

    def receive(self, data: bytes) -> None:
        if self.ends and not self._parser.is_in_body:
            return
        self._parser.add(data)
        self.advance()

    def receive_head(self, head: bytes) -> None:
        """Feed `head`, which is exactly one head; the responses to all earlier requests must be written."""
        try:
            check_request_line(head)
        except UnreadableHeadError as error:
            self._connection.refuse(error)
        else:
            self._feed_head(head)

    def advance(self) -> None:
        """Feed all received bytes that the handler may have now."""
        parser, connection = self._parser, self._connection
        while not connection.is_closing:
            if part := parser.next_body():
                self._feed(part)
            elif self.is_responding or self.ends or not self._feed_next_head():
                break
        if connection.is_closing:
            return
        if connection.is_half_closed:
            parser.end_body()
        self._limit_held()
        connection.advanced()

    def _feed_next_head(self) -> bool:
        parser = self._parser
        try:
            head = parser.next_head()
        except HttpProcessingError as error:
            self._connection.refuse(error)
            return False
        if head is not None:
            self._feed_head(head)
            return True
        if parser.is_in_body or not (parser.held_bytes or self._is_first):
            # Some old clients end a request with an empty line, and send the next one much later.
            self.began_at = None
        elif self.began_at is None:
            self.began_at = self._loop.time()
        return False

    def _feed_head(self, head: bytes) -> None:
        self.is_responding, self._is_first, self.began_at = True, False, None
        self._feed(head)

    def _feed(self, data: bytes) -> None:
        handler = self._handler
        if handler is None:
            handler = self._handler = self._connection.make_handler()
            handler.connection_made(HandlerTransport(self._connection))
            if self._connection.write_paused:
                handler.pause_writing()
        try:
            handler.data_received(data)
        except ValueError:
            # aiohttp's Python parser raises it for a number with more digits than `int` accepts.
            self._connection.refuse(UnreadableHeadError())

    def pause_writing(self) -> None:
        if self._handler is not None:
            self._handler.pause_writing()

    def resume_writing(self) -> None:
        if self._handler is not None:
            self._handler.resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        handler, self._handler = self._handler, None
        if handler is not None:
            handler.connection_lost(exc)

    def _limit_held(self) -> None:
        """Pause reading once the client has sent too much ahead, until all of its requests have responses."""
        parser, limits = self._parser, self._connection.limits
        if not self.is_responding or not parser.held_bytes:
            if self._is_full:
                self._is_full = False
                self._connection.resume_reading("ahead")
        elif not self._is_full:
            many = parser.held_heads >= limits.max_pipelined
            if many:
                self._connection.limited("pipelined")
            if many or parser.held_bytes > limits.max_header_bytes:
                self._is_full = True
                self._connection.pause_reading("ahead")

    def begin(self, request: BaseRequest) -> None:
        """Note that our handler begins a request. Raises `RuntimeError` for a head that the feed did not pass on."""
        if self._has_begun or not self.is_responding:
            self._connection.abort()
            raise RuntimeError("a request that the feed did not pass on")
        self._has_begun = True
        self.ends = ends_connection(request)
        if not request.content.is_eof():
            self._parser.expect_body(request)
        self._go_on()

    def finish(self, *, keeps: bool) -> None:
        """Note that the whole response was written."""
        self._has_begun = self.is_responding = False
        self.ends = not keeps
        if self.ends and not self._parser.is_in_body:
            self._parser.clear()
        self._go_on()

    def _go_on(self) -> None:
        if self._parser.held_bytes or self._connection.is_half_closed:
            self.advance()
        else:
            self._connection.advanced()
