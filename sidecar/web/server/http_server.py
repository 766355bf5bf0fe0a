"""The HTTP server of one listener: creates an `HttpConnection` for each accepted socket."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

from sidecar.core.listener_limits import Limit, Limits, ListenerName
from sidecar.core.ports import EventSink
from sidecar.core.request_events import LimitHit
from sidecar.web.responses import Response, wire_bytes
from sidecar.web.server.connection_registry import ConnectionRegistry
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.protocol import HttpConnection, connection_of
from sidecar.web.server.request_handler import WRITTEN, WRITTEN_LAST, ConnectionHandler

Handler: TypeAlias = Callable[[BaseRequest], Awaitable[Response]]


class HttpServer(Server):
    """aiohttp's server with our `HttpConnection` in front of its handlers. Call it for the protocol of a new socket."""

    def __init__(
        self,
        handler: Handler,
        sink: EventSink,
        listener: ListenerName,
        limits: Limits,
        fast_path: FastPath | None = None,
        dispersed: Callable[[], None] = lambda: None,
    ) -> None:
        """`dispersed` is called when most of many connections have ended."""
        # A long-poll whose caller disconnected ends at once instead of a minute later.
        super().__init__(self._answer, handler_cancellation=True)
        self._handle = handler
        self._draining = False
        self._sink = sink
        self._name = listener
        self._fast_path = fast_path
        self._running_loop = asyncio.get_running_loop()
        self.registry = ConnectionRegistry(limits, self._limited, dispersed)

    def __call__(self) -> HttpConnection:  # type: ignore[override]  # the protocol that owns the socket
        return HttpConnection(self.registry, self._fast_path, self._make_handler, self._sink, self._running_loop)

    def drain(self) -> None:
        """From now on end each connection with its next response, so that no caller reuses one that is about to end."""
        self._draining = True
        if self._fast_path is not None:
            self._fast_path.close()

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        """Write the whole response, then note on its connection that the request is answered."""
        connection = connection_of(request)
        connection.begin(request)
        response = await self._handle(request)
        keeps = not (response.closes or connection.ends or self._draining)
        connection.write(
            wire_bytes(
                response,
                closes=not keeps,
                at=time.time(),
                with_body=request.method != "HEAD",
                minor_version=request.version.minor,
            )
        )
        if connection.write_paused:
            await request.writer.drain()
        connection.finish(keeps=keeps)
        return WRITTEN if keeps else WRITTEN_LAST

    def _make_handler(self, connection: HttpConnection) -> ConnectionHandler:
        return ConnectionHandler(self, connection, self.registry.limits, self._sink, self._running_loop)

    def _limited(self, limit: Limit) -> None:
        self._sink.emit(LimitHit(listener=self._name, limit=limit))
