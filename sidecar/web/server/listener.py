"""A listener: one HTTP server, which makes the connections, behind any number of TCP and unix addresses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TypeAlias

from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

from sidecar.core.listener_limits import Limit, Limits, ListenerName
from sidecar.core.model import Address, Seconds
from sidecar.core.ports import EventSink
from sidecar.core.process_events import LimitHit
from sidecar.file_operations import run_in_thread
from sidecar.web.responses import Response, wire_bytes
from sidecar.web.server.connection_registry import ConnectionRegistry
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.protocol import HttpConnection
from sidecar.web.server.request_handler import WRITTEN, WRITTEN_LAST, HttpRequest
from sidecar.web.server.sockets import BACKLOG, bound_address, open_sockets
from sidecar.web.server.streamed_response import StreamedResponse

Handler: TypeAlias = Callable[[HttpRequest], Awaitable[Response | StreamedResponse]]


class HttpServer(Server):
    """aiohttp's server with our `HttpConnection` in front of its handlers. Call it for the protocol of a new socket."""

    def __init__(
        self,
        handler: Handler,
        sink: EventSink,
        listener: ListenerName,
        limits: Limits,
        *,
        fast_path: FastPath | None = None,
        marks: Mapping[str, str] = MappingProxyType({}),
        on_most_ended: Callable[[], None] = lambda: None,
    ) -> None:
        """`marks` are further headers of the responses to requests that do not reach the handler.

        `on_most_ended` is called when most of many connections have ended.
        """
        loop = asyncio.get_running_loop()
        super().__init__(
            self._respond,  # type: ignore[arg-type]  # each request is made by the factory, which aiohttp's types ignore
            request_factory=partial(HttpRequest, loop=loop),
            # A long-poll whose caller disconnected ends at once instead of a minute later.
            handler_cancellation=True,
        )
        self._handle = handler
        self._draining = False
        self._sink = sink
        self._name = listener
        self._fast_path = fast_path
        self.marks = marks
        self._running_loop = loop
        self.registry = ConnectionRegistry(limits, self._limited, on_most_ended)

    def __call__(self) -> HttpConnection:  # type: ignore[override]  # the protocol that owns the socket
        return HttpConnection(self, self.registry, self._fast_path, self._sink, self._running_loop)

    def drain(self) -> None:
        """From now on end each connection with its next response, so that no caller reuses one that is about to end."""
        self._draining = True
        if self._fast_path is not None:
            self._fast_path.close()

    async def _respond(self, request: HttpRequest) -> StreamResponse:
        """Write the whole response, and note on the connection that it is written."""
        connection = request.connection
        connection.begin(request)
        response = await self._handle(request)
        keeps = not (connection.ends or self._draining)
        if isinstance(response, StreamedResponse):
            keeps = await response.write_to(request, keeps=keeps)
        else:
            keeps = keeps and not response.closes
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

    def _limited(self, limit: Limit) -> None:
        self._sink.emit(LimitHit(listener=self._name, limit=limit))


_SHORTEST_GRACE_S: Seconds = 0.02

FileIdentity: TypeAlias = tuple[int, int]


class Listener:
    """Serves by `http` from `start` to `stop`."""

    def __init__(self, http: HttpServer) -> None:
        self._http = http
        self._servers: list[asyncio.Server] = []
        self._unix_files: list[tuple[Path, FileIdentity]] = []
        self._bound: tuple[Address, ...] = ()

    @property
    def bound(self) -> tuple[Address, ...]:
        """The addresses on which `start` listens, with the real port where 0 was configured."""
        return self._bound

    @property
    def connections(self) -> int:
        """The number of open connections."""
        return len(self._http.registry)

    async def start(self, addresses: Sequence[Address]) -> None:
        """Listen on all of `addresses`, or on none.

        Raises `ConfigurationError` when one cannot be opened: in use, not ours, or a unix path that is no socket.
        """
        sockets: list[socket.socket] = []
        try:
            for address in addresses:
                sockets += open_sockets(address)
        except BaseException:
            for sock in sockets:
                sock.close()
            raise
        self._bound = tuple(bound_address(sock) for sock in sockets)
        self._unix_files = _unix_files(self._bound)
        for sock in sockets:
            self._servers.append(await self._serve(sock))

    def drain(self) -> None:
        """Continue to serve, and end each connection with its next response."""
        self._http.drain()

    async def stop(self, grace_s: Seconds) -> None:
        """Accept no more connections, give running requests `grace_s` to end, then abort them."""
        if not self._bound:
            return
        for server in self._servers:
            server.close()
        removal = run_in_thread(self._remove_unix_files)
        # Connections whose first bytes have arrived are served before the idle ones are closed.
        await asyncio.sleep(0)
        self._http.registry.close()
        self._http.pre_shutdown()
        # aiohttp applies its limit twice: it waits, and waits again before it cancels. In aiohttp, 0 means "no limit".
        await self._http.shutdown(max(grace_s, _SHORTEST_GRACE_S) / 2)
        for server in self._servers:
            await server.wait_closed()
        # A file system that hangs must not delay the exit: the next start removes the remaining files.
        await asyncio.wait((removal,), timeout=grace_s)
        self._servers = []

    async def _serve(self, sock: socket.socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        if sock.family == socket.AF_UNIX:
            return await loop.create_unix_server(self._http, sock=sock, backlog=BACKLOG)
        # `backlog` is needed again: the event loop calls `listen` itself, by default with 100.
        return await loop.create_server(self._http, sock=sock, backlog=BACKLOG)

    def _remove_unix_files(self) -> None:
        """Remove our socket files, except where a successor has put its own in their place."""
        for path, identity in self._unix_files:
            with contextlib.suppress(OSError):
                if _identity(path) == identity:
                    path.unlink()
        self._unix_files = []


def _unix_files(addresses: Sequence[Address]) -> list[tuple[Path, FileIdentity]]:
    """Return our socket files with the identity that distinguishes them from a successor's; skip missing files."""
    found = ((path, _identity(path)) for address in addresses if address.file for path in [Path(address.file)])
    return [(path, identity) for path, identity in found if identity is not None]


def _identity(path: Path) -> FileIdentity | None:
    """Return device and inode of the file at `path`, or of the link itself; None where there is no file."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
