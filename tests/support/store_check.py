"""What `token-sidecar check` reports about a store, and small servers in front of real ones."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TypeAlias

from sidecar.app.check import CheckLine, check
from sidecar.app.running import load_settings
from tests.servers import RedisServer

Serve: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

SETTINGS = {
    "SIDECAR_API_KEY": "kanary-key",
    "SIDECAR_API_SECRET": "kanary-secret",
    "SIDECAR_SEAL": "off",
    "SIDECAR_STORE_TIMEOUT_S": "10",
}


async def store_lines(url: str, **settings: str) -> list[CheckLine]:
    lines = await check(load_settings({**SETTINGS, "SIDECAR_STORE": url, **settings}), live=False)
    return [line for line in lines if line.what.startswith("store")]


async def failures(url: str, **settings: str) -> list[str]:
    """Return the details of the lines that failed."""
    lines = await store_lines(url, **settings)
    assert [line.ok for line in lines if not line.detail] in ([], [True])
    return [line.detail for line in lines if not line.ok]


async def notes(url: str) -> list[str]:
    lines = await store_lines(url)
    assert all(line.ok for line in lines), lines
    assert (lines[-1].detail, lines[-1].is_note) == ("", False), "it is fit for use"
    return [line.detail for line in lines if line.is_note]


@asynccontextmanager
async def balanced(servers: Sequence[RedisServer]) -> AsyncIterator[int]:
    """Yield a port that passes its connections to each of the servers in turn, as a Kubernetes Service does."""
    turns = 0

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turns
        turns += 1
        port = servers[turns % len(servers)].port
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_pour(reader, back), _pour(there, writer))

    async with _listening(carry) as port:
        yield port


@asynccontextmanager
async def always_answering(line: bytes) -> AsyncIterator[int]:
    """Yield a port that answers everything with this line."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            writer.write(line)

    async with _listening(answer) as port:
        yield port


@asynccontextmanager
async def _listening(serve: Serve) -> AsyncIterator[int]:
    """Yield a port; at the end, every connection to it has ended."""
    served: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError):
            await serve(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        served.append(asyncio.create_task(handle(reader, writer)))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
    await asyncio.gather(*served)


async def _pour(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
    while chunk := await source.read(65536):
        target.write(chunk)
    target.close()
