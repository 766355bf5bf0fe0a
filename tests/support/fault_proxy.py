"""A proxy on loopback that disturbs the traffic between a client and a server, in one direction or both."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

from tests.support.spoiled_way import CLEAN, DirectionRelay, ResetRequested, Way

HOST = "127.0.0.1"
ACCEPTING_TURNS = 10
"""Turns of the event loop, more than asyncio needs from accepting a connection to `_begin`."""
Watch: TypeAlias = Callable[["ProxiedConnection", bytes], None]


class ProxiedConnection:
    """One connection through the proxy; `replies` disturbs only this one."""

    def __init__(self, client: asyncio.StreamWriter) -> None:
        self._client = client
        self._server: asyncio.StreamWriter | None = None
        self._gone = False
        self.replies: Way | None = None

    async def run(self, proxy: FaultProxy, reader: asyncio.StreamReader) -> None:
        try:
            server_reader, self._server = await asyncio.open_connection(HOST, proxy.server_port)
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._to(proxy, reader, self._server))
                ways.create_task(self._back(proxy, server_reader))
        except* (ResetRequested, OSError):
            if self._gone:
                while await reader.read(65536):
                    pass
            self.reset()
        finally:
            for writer in (self._client, self._server):
                if writer is not None:
                    writer.close()

    async def _to(self, proxy: FaultProxy, reader: asyncio.StreamReader, server: asyncio.StreamWriter) -> None:
        way = DirectionRelay(lambda: proxy.requests, lambda chunk: proxy.watch(self, chunk), proxy.change, proxy.dice)
        await way.carry(reader, server)
        server.write_eof()

    async def _back(self, proxy: FaultProxy, reader: asyncio.StreamReader) -> None:
        way = DirectionRelay(lambda: self.replies or proxy.replies, lambda _: None, proxy.change, proxy.dice)
        await way.carry(reader, self._client)
        if not self._gone:
            self._client.write_eof()

    def reset(self) -> None:
        """End both sides with a reset."""
        for writer in (self._client, self._server):
            if writer is not None:
                _reset(writer)

    def vanish(self) -> None:
        """End the side of the server. The side of the client stays open, and receives nothing more."""
        self._gone = True
        if self._server is not None:
            _reset(self._server)


class FaultProxy:
    """Clients connect to `port`. Assign `requests` and `replies` to disturb them on all connections."""

    def __init__(self, server_port: int, seed: int = 0) -> None:
        self.server_port = server_port
        self.port = 0
        self.dice = random.Random(seed)
        self.watch: Watch = lambda _connection, _chunk: None
        """Called with every chunk of a request before it is sent on; may disturb its connection."""
        self.connections: set[ProxiedConnection] = set()
        self.accepted = 0
        self._requests = self._replies = CLEAN
        self._changed = asyncio.Event()
        self._server: asyncio.Server | None = None
        self._held: socket.socket | None = None
        """Keeps the port while the proxy does not listen, so that no other server is given it."""
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def requests(self) -> Way:
        return self._requests

    @requests.setter
    def requests(self, way: Way) -> None:
        self._requests = way
        self._tell()

    @property
    def replies(self) -> Way:
        return self._replies

    @replies.setter
    def replies(self, way: Way) -> None:
        self._replies = way
        self._tell()

    def spoil(self, way: Way) -> None:
        """Disturb both directions."""
        self.requests = self.replies = way

    async def heal(self) -> None:
        """End all disturbances. Data that was held back is sent on now."""
        self.spoil(CLEAN)
        await self.accept()

    async def accept(self) -> None:
        if self._server is None:
            self._release()
            self._server = await asyncio.start_server(self._begin, HOST, self.port)
            self.port = self._server.sockets[0].getsockname()[1]

    def refuse(self) -> None:
        """Act like a server that crashed: connections are reset, and new ones refused."""
        if self._server is not None:
            self._server.close()
            self._server = None
            self._held = socket.socket()
            self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._held.bind((HOST, self.port))
        self.reset_all()

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def reset_all(self) -> None:
        for connection in self.connections:
            connection.reset()

    def vanish(self) -> None:
        """Make the open connections half-open; new ones work."""
        for connection in self.connections:
            connection.vanish()

    async def change(self) -> None:
        """Wait until `requests` or `replies` is assigned."""
        await self._changed.wait()

    async def close(self) -> None:
        # A server that is closed while it accepts a connection leaves that open, so it first only stops accepting.
        for listener in self._server.sockets if self._server is not None else ():
            asyncio.get_running_loop().remove_reader(listener.fileno())
        for _ in range(ACCEPTING_TURNS):
            await asyncio.sleep(0)
        self.refuse()
        self._release()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _begin(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Register the connection at once: `refuse` must find it, even if its task has not started."""
        self.accepted += 1
        if self._server is None:  # `refuse` was called while it was accepted
            _reset(writer)
            return
        connection = ProxiedConnection(writer)
        self.connections.add(connection)
        task = asyncio.create_task(connection.run(self, reader))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        task.add_done_callback(lambda _: self.connections.discard(connection))


def _reset(writer: asyncio.StreamWriter) -> None:
    """With a linger of 0 an abort sends RST, not FIN."""
    sock = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # closed already
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def fault_proxy(server_port: int, seed: int = 0) -> AsyncIterator[FaultProxy]:
    proxy = FaultProxy(server_port, seed)
    await proxy.accept()
    try:
        yield proxy
    finally:
        await proxy.close()
