"""One listener with its connections, and the limits that it reports as reached."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import TypeVar

from aiohttp import web

from sidecar.core.listener_limits import Limit, Limits
from sidecar.core.process_events import LimitHit
from sidecar.web.responses import Response, make_response
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.listener import Handler, HttpServer, Listener
from tests.support.replica import HANG_S, until
from tests.support.sink import ListSink
from tests.support.wire import LOOPBACK, Reply, parse

HEAD = b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\n"
GET = HEAD + b"\r\n"
R = TypeVar("R", bound="Room")


class Room:
    """A listener with a handler that a test can hold, and the clients that are connected."""

    def __init__(self, limits: Limits, handler: Handler | None = None, fast_path: FastPath | None = None) -> None:
        self.sink = ListSink()
        self.callers: list[Caller] = []
        self.free = asyncio.Event()
        self.free.set()
        self.asked = asyncio.Event()
        """Set once the handler has a request. It responds while `free` is set."""
        self.listener = Listener(HttpServer(handler or self._hello, self.sink, "vending", limits, fast_path=fast_path))

    async def _hello(self, request: web.BaseRequest) -> Response:
        self.asked.set()
        await self.free.wait()
        return make_response(200, b"hello", content_type="text/plain")

    @property
    def hit(self) -> list[Limit]:
        return [event.limit for event in self.sink.of(LimitHit)]

    async def has(self, connections: int) -> None:
        """Wait until this many connections are open."""
        await until(lambda: self.listener.connections == connections)

    async def caller(self) -> Caller:
        address = self.listener.bound[0]
        caller = Caller(*await asyncio.open_connection(address.host, address.port))
        self.callers.append(caller)
        return caller


class Caller:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def ask(self, sent: bytes = GET) -> Reply:
        self.writer.write(sent)
        return parse(await asyncio.wait_for(self.reader.readuntil(b"hello"), HANG_S))

    async def end(self) -> bytes:
        """Return what was received until the other side closed."""
        try:
            return await asyncio.wait_for(self.reader.read(), HANG_S)
        except ConnectionResetError:
            return b""


def room(limits: Limits, handler: Handler | None = None) -> AbstractAsyncContextManager[Room]:
    return opened(Room(limits, handler))


@asynccontextmanager
async def opened(some: R) -> AsyncIterator[R]:
    """Start the listener; at the end, end its clients before it stops."""
    await some.listener.start([LOOPBACK])
    try:
        yield some
    finally:
        some.free.set()
        for caller in some.callers:
            caller.writer.transport.abort()
        await some.listener.stop(0.1)
