"""One accepted connection: limits, half-closed callers, back-pressure, drain and eviction, for both listeners.

A connection has two states. At rest, every received request has its response, and no byte of another one was received.
A segment that the fast path knows is then answered from it. Any other segment goes to aiohttp's handler, which is
created for the first one. If that segment was exactly one request head without a body, the connection is at rest again
after our handler wrote the whole response. Otherwise aiohttp's handler gets everything that follows. So the fast path
and the parser can never disagree about where a request begins.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from aiohttp.http import HttpProcessingError

from sidecar.core.listener_limits import Limit
from sidecar.core.model import MonotonicTime, Seconds
from sidecar.core.ports import EventSink
from sidecar.web.responses import Response, wire_bytes
from sidecar.web.server.connection_registry import ConnectionRegistry
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.known_requests import Key
from sidecar.web.server.request_feed import RequestFeed
from sidecar.web.server.request_handler import OVERLOADED, ConnectionHandler, HttpRequest, malformed
from sidecar.web.server.request_parser import is_plain, is_whole_head
from sidecar.web.server.socket_protocol import SocketProtocol

if TYPE_CHECKING:
    from sidecar.web.server.listener import HttpServer

KEEPALIVE_S: Seconds = 75


class HttpConnection(SocketProtocol):
    """Owns one socket from accept to close."""

    __slots__ = (
        "_at_rest", "_fast_path", "_feed", "_has_received", "_is_polling", "_is_turned_away", "_returns_to_rest",
        "_server", "_sink", "_timeout", "fast_key", "gives_way",
    )  # fmt: skip

    def __init__(
        self,
        server: HttpServer,
        registry: ConnectionRegistry,
        fast_path: FastPath | None,
        sink: EventSink,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        super().__init__(registry, loop)
        self._fast_path = fast_path
        self._server = server
        self._sink = sink
        self._feed: RequestFeed | None = None
        self._is_turned_away = False
        self._has_received = False
        self._at_rest = True
        self._returns_to_rest = False
        """Whether the connection is at rest again after the current response."""
        self._is_polling = False
        self._timeout: asyncio.Timeout | None = None
        """The timeout of the current wait for a body or for a new token."""
        self.gives_way = False
        """Whether the next response ends the connection, because its slot is needed."""
        self.fast_key: Key | None = None
        """The current request's key in the fast path; None where it must not be found there."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._is_turned_away = not self.registry.add(self)
        self._at_rest = not self._is_turned_away

    def data_received(self, data: bytes) -> None:
        fast_path, transport = self._fast_path, self.transport
        if self._at_rest and fast_path and transport and not (self.is_closing or self.write_paused):
            found = fast_path.find(data, self)
            if found is not None:
                self._has_received = True
                transport.write(found.data)
                if found.closes:
                    self.close()
                else:
                    self.registry.touch(self, self._loop.time())
                return
        if self.is_closing:
            return
        if self._is_turned_away:
            # Only after the request was read: closing with unread bytes sends a reset, which may overtake the response.
            self.write_last(OVERLOADED)
            self.close()
        elif self._feed is not None and not self._at_rest:
            self._returns_to_rest, self.fast_key = False, None
            self._feed.receive(data)
        else:
            self._leave_rest(data)

    def _leave_rest(self, data: bytes) -> None:
        self._returns_to_rest, self.fast_key = is_whole_head(data, self.limits.max_header_bytes), None
        if self._returns_to_rest and self._fast_path is not None:
            self.fast_key = self._fast_path.key_of(data, self.peer)
        if self._feed is None:
            self._feed = RequestFeed(self, accepted_at=None if self._has_received else self.since)
        self._at_rest, self._has_received = False, True
        if self._returns_to_rest:
            self._feed.receive_head(data)
        else:
            self._feed.receive(data)

    def make_handler(self) -> ConnectionHandler:
        """Called at the first request that the fast path does not know."""
        return ConnectionHandler(self._server, self, self._sink, self._loop)

    def eof_received(self) -> bool:
        """Keep the connection open while complete requests wait for their responses.

        A caller that closed its writing side may still read. A caller that is gone is detected by its reset: our
        response causes one, and `overdue` looks for one.
        """
        if self.is_closing or self._at_rest or self._feed is None:
            return False
        self.is_half_closed = True
        # Only after aiohttp has read the bytes that came with the end.
        self._loop.call_soon(self._feed.advance)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        # A reference cycle stays until the garbage collector runs, and it never runs in an idle process.
        feed, self._feed = self._feed, None
        if feed is not None:
            feed.connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._feed is not None:
            self._feed.pause_writing()
        self._update_activity()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._feed is not None:
            self._feed.resume_writing()
        self._update_activity()

    def begin(self, request: HttpRequest) -> None:
        """Note that our handler begins a request. Raises `RuntimeError` for a head that the feed did not pass on."""
        if self._feed is None:
            raise ConnectionResetError
        if self._returns_to_rest and not is_plain(request):
            self._returns_to_rest, self.fast_key = False, None
        self._feed.begin(request)

    @property
    def ends(self) -> bool:
        """Whether the connection ends with the response to the current request."""
        return self.gives_way or (self._feed is not None and self._feed.ends)

    def finish(self, *, keeps: bool) -> None:
        """Note that our handler has written the whole response."""
        self.fast_key = None
        if self._feed is not None:
            self._feed.finish(keeps=keeps)
            self._at_rest = self._returns_to_rest and keeps and self._feed.is_at_boundary and not self.is_half_closed

    def advanced(self) -> None:
        """Note that the feed has passed on all that it may for now."""
        if self.is_half_closed and not self.awaits_response:
            self.close()
        self._update_activity()

    def refuse(self, error: HttpProcessingError) -> None:
        """Answer bytes that are not a valid request, and end the connection."""
        if error.code == 431:
            self.limited("header-bytes")
        self.write_last(malformed(self._sink, error.code, error))
        self.linger()

    def write_last(self, response: Response) -> None:
        """Write a response to a request that did not reach our handler; the connection ends with it."""
        marked = replace(response, headers={**response.headers, **self._server.marks})
        self.write(wire_bytes(marked, closes=True))

    @asynccontextmanager
    async def waiting_for_body(self) -> AsyncIterator[None]:
        """Raises `TimeoutError` after the time limit for a body, or when `give_way` is called."""
        try:
            async with asyncio.timeout(self.limits.body_timeout_s) as self._timeout:
                self.registry.begin_body(self)
                yield
        finally:
            self._timeout = None
            self.registry.end_body(self)

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        """Mark the connection as a waiting long-poll. Raises `TimeoutError` when `give_way` is called."""
        try:
            async with asyncio.timeout(None) as self._timeout:
                self._is_polling = True
                self._update_activity()
                yield
        finally:
            self._is_polling, self._timeout = False, None
            self._update_activity()

    def _update_activity(self) -> None:
        feed = self._feed
        if self.write_paused or not self._has_received or (feed is not None and feed.is_receiving):
            self.registry.set_activity(self, "receiving")
        elif feed is None or not feed.is_responding:
            self.registry.touch(self, self._loop.time())
        elif self._is_polling:
            self.registry.set_activity(self, "polling")
        elif self.activity != "idle":
            # An idle connection stays listed as idle: the registry reads `awaits_response` when it needs a slot.
            self.registry.set_activity(self, "responding")

    @property
    def awaits_response(self) -> bool:
        """As `ManagedConnection`."""
        return self._feed is not None and self._feed.is_responding

    def overdue(self, now: MonotonicTime) -> Limit | None:
        """As `ManagedConnection`."""
        began_at = self._feed.began_at if self._feed is not None else None if self._has_received else self.since
        if began_at is not None and now - began_at > self.limits.header_timeout_s:
            return "slow-headers"
        if self.activity == "idle" and now - self.since > KEEPALIVE_S and not self.awaits_response:
            self.close()
        return super().overdue(now)

    def abort(self) -> None:
        """As `ManagedConnection`."""
        if self._is_turned_away and not self.is_closing:
            # Its client had no time to send a request. Most clients read the response before they see the close.
            self.write_last(OVERLOADED)
            self.close()
        else:
            super().abort()

    def give_way(self) -> None:
        """As `ManagedConnection`."""
        self.gives_way = True
        if self._timeout is not None and not self._timeout.expired():
            self._timeout.reschedule(self._loop.time())
