"""Relays from other loopback addresses to servers on 127.0.0.1, and addresses that never answer."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


@asynccontextmanager
async def relay(host: str, port: int, to_port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    """Relay connections from `host` to 127.0.0.1, with TLS if `tls` is given."""
    tasks: set[asyncio.Task[None]] = set()
    writers: list[asyncio.StreamWriter] = []

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        try:
            server_reader, server_writer = await asyncio.open_connection("127.0.0.1", to_port)
        except OSError:
            writer.close()
            return
        writers.append(server_writer)
        tasks.update(map(asyncio.create_task, (carry(reader, server_writer), carry(server_reader, writer))))

    server = await asyncio.start_server(serve, host, port, ssl=tls)
    try:
        yield
    finally:
        server.close()
        for writer in writers:
            writer.close()
        for ended in (*tasks, *(writer.wait_closed() for writer in writers)):
            with contextlib.suppress(OSError):
                await ended


@contextmanager
def black_hole(host: str, port: int) -> Iterator[None]:
    """Never accept a connection: the queue of the listener is full, so the kernel drops all others."""
    with socket.socket() as listener, contextlib.ExitStack() as taken:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        listener.listen(0)
        for _ in range(2):
            waiting = taken.enter_context(socket.socket())
            waiting.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                waiting.connect((host, port))
        yield
