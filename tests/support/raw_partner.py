"""A partner on a raw socket: it records the requests, and sends the bytes that a test chooses."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeAlias

Play: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


class RawPartner:
    """Holds the base URL, the received heads and bodies (one entry a connection), and the response to play."""

    def __init__(self) -> None:
        self.url = ""
        self.received: list[bytes] = []
        self.play: Play = reply(b"")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        place = len(self.received)
        self.received.append(b"")
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            self.received[place] = head
            length = next((line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), b":0")
            self.received[place] += await reader.readexactly(int(length.partition(b":")[2]))
            await self.play(reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


def reply(raw: bytes) -> Play:
    """Send exactly these bytes and close."""

    async def play(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return play


def http(status: str, body: bytes, *headers: str) -> Play:
    """Send an HTTP response with the right Content-Length."""
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""])
    return reply(head.encode() + body)


async def say_nothing(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    """Wait until the client closes the connection."""
    await reader.read()


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset the connection."""
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def then_say_nothing(first: bytes) -> Play:
    """Send these bytes, and wait until the client closes the connection."""

    async def play(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        await say_nothing(reader, writer)

    return play


@asynccontextmanager
async def raw_partner(tls: ssl.SSLContext | None = None) -> AsyncIterator[RawPartner]:
    partner = RawPartner()
    server = await asyncio.start_server(partner.serve, "127.0.0.1", 0, ssl=tls)
    partner.url = f"{'http' if tls is None else 'https'}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        yield partner
