"""Servers on 127.0.0.1 that answer at other loopback addresses too, and addresses where nobody ever answers."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager


@asynccontextmanager
async def relay(host: str, port: int, to_port: int, tls: ssl.SSLContext | None = None) -> AsyncIterator[None]:
    """What connects to `host` gets to 127.0.0.1; by `tls`, where that is given."""
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
    """Whoever connects waits for ever: the place for one connection is taken, and the kernel passes over all others."""
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
