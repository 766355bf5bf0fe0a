"""Hands the bytes of one connection to aiohttp's handler: one request at a time, the next one after the response."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from aiohttp.http import HttpProcessingError
from aiohttp.web_request import BaseRequest

from sidecar.core.listener_limits import Limit, Limits
from sidecar.core.model import MonotonicTime
from sidecar.web.server.request_handler import ConnectionHandler, OwnedTransport, Owner
from sidecar.web.server.request_parser import (
    RequestParser,
    UnreadableHeadError,
    check_request_line,
    ends_connection,
)


class Connection(Owner, Protocol):
    """What the feed uses of its connection."""

    write_paused: bool
    is_half_closed: bool

    def limited(self, limit: Limit) -> None: ...
    def refuse(self, error: HttpProcessingError) -> None: ...
    def advanced(self) -> None: ...


class RequestFeed:
    """Created at the first segment that the fast path does not know; creates the handler at the first complete head."""

    __slots__ = (
        "_connection", "_handler", "_has_begun", "_is_first", "_is_full", "_limits", "_loop", "_make_handler",
        "_parser", "began_at", "ends", "is_answering",
    )  # fmt: skip

    def __init__(
        self,
        connection: Connection,
        make_handler: Callable[[], ConnectionHandler],
        limits: Limits,
        accepted_at: MonotonicTime | None,
    ) -> None:
        """`accepted_at` is when the connection was accepted, or None if an earlier request was already answered."""
        self._connection = connection
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._parser = RequestParser(limits.max_header_bytes)
        self._has_begun = False
        """Whether our handler has begun the current request."""
        self.ends = False
        """Whether the latest request is the last one on its connection."""
        self._is_full = False
        self._is_first = accepted_at is not None
        self.began_at = accepted_at
        """When the unfinished head began, by the event loop's clock; None between two requests."""
        self._make_handler = make_handler
        self._handler: ConnectionHandler | None = None
        self.is_answering = False
        """Whether a head was handed over and is not answered yet."""

    @property
    def is_receiving(self) -> bool:
        """Whether a head or a body is incomplete."""
        return self.began_at is not None or self._parser.is_in_body

    @property
    def is_at_boundary(self) -> bool:
        """Whether every request was answered, and no byte of another one was received."""
        return not (self.is_answering or self.is_receiving or self._parser.held_bytes)

    def receive(self, data: bytes) -> None:
        if self.ends and not self._parser.is_in_body:
            return
        self._parser.add(data)
        self.advance()

    def receive_head(self, head: bytes) -> None:
        """Hand over `head`, which is exactly one head; everything received before it must be answered."""
        try:
            check_request_line(head)
        except UnreadableHeadError as error:
            self._connection.refuse(error)
        else:
            self._hand_over_head(head)

    def advance(self) -> None:
        """Hand over all received bytes that may be handed over now."""
        parser, connection = self._parser, self._connection
        while not connection.is_closing:
            if part := parser.next_body():
                self._hand_over(part)
            elif self.is_answering or self.ends or not self._hand_over_next_head():
                break
        if connection.is_closing:
            return
        if connection.is_half_closed:
            parser.end_body()
        self._limit_held()
        connection.advanced()

    def _hand_over_next_head(self) -> bool:
        parser = self._parser
        try:
            head = parser.next_head()
        except HttpProcessingError as error:
            self._connection.refuse(error)
            return False
        if head is not None:
            self._hand_over_head(head)
            return True
        if parser.is_in_body or not (parser.held_bytes or self._is_first):
            # Some old clients end a request with an empty line, and send the next one much later.
            self.began_at = None
        elif self.began_at is None:
            self.began_at = self._loop.time()
        return False

    def _hand_over_head(self, head: bytes) -> None:
        self.is_answering, self._is_first, self.began_at = True, False, None
        self._hand_over(head)

    def _hand_over(self, data: bytes) -> None:
        handler = self._handler
        if handler is None:
            handler = self._handler = self._make_handler()
            handler.connection_made(OwnedTransport(self._connection))
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
        """Pause reading once the client has sent too much ahead, until all of it is answered."""
        parser, limits = self._parser, self._limits
        if not self.is_answering or not parser.held_bytes:
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
        """Note that our handler begins a request. Raises `RuntimeError` for a head that was not handed over."""
        if self._has_begun or not self.is_answering:
            self._connection.abort()
            raise RuntimeError("a request that was not handed over")
        self._has_begun = True
        self.ends = ends_connection(request)
        if not request.content.is_eof():
            self._parser.expect_body(request)
        self._go_on()

    def finish(self, *, keeps: bool) -> None:
        """Note that the whole response was written."""
        self._has_begun = self.is_answering = False
        self.ends = not keeps
        if self.ends and not self._parser.is_in_body:
            self._parser.clear()
        self._go_on()

    def _go_on(self) -> None:
        if self._parser.held_bytes or self._connection.is_half_closed:
            self.advance()
        else:
            self._connection.advanced()
