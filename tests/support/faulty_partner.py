"""A partner on a raw socket that fails in a chosen way at each request, and says what arrived."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

PART_BYTES = 16


@dataclass
class Arrival:
    """One request of which at least one byte arrived."""

    head: bytes = b""
    body: bytes = b""
    whole: bool = False

    @property
    def method(self) -> str:
        return self.head.partition(b" ")[0].decode()

    def fields(self, name: str) -> list[str]:
        """Return the values of one header, in order."""
        pairs = (line.partition(b": ") for line in self.head.split(b"\r\n")[1:])
        return [value.decode() for key, _, value in pairs if key.lower() == name.lower().encode()]


@dataclass
class Exchange:
    """One request on its connection. `fails`: the partner holds back its response until the test sets `goes_on`."""

    partner: FaultyPartner
    arrival: Arrival
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def send(self, raw: bytes) -> None:
        self.writer.write(raw)
        await self.writer.drain()

    async def wait_for_end(self) -> None:
        """Return when the gateway has ended the connection."""
        self.partner.silent.set()
        await self.reader.read()

    def reset(self) -> None:
        reset(self.writer)


Act: TypeAlias = Callable[[Exchange], Awaitable[bool]]
"""Responds; returns whether the connection goes on."""


@dataclass(frozen=True)
class Play:
    """What the partner does with one request, from when so much of it has arrived."""

    act: Act
    reads: Literal["start", "head", "part", "all"] = "all"


@dataclass
class FaultyPartner:
    """`plays` are used up one request after the other; the last one stays."""

    plays: Sequence[Play]
    arrivals: list[Arrival] = field(default_factory=list)
    resets_new: int = 0
    """So many new connections are reset at once."""
    tls: ssl.SSLContext | None = None
    port: int = 0
    silent: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)
    _arrived: asyncio.Condition = field(default_factory=asyncio.Condition)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port, ssl=self.tls)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        """Refuse connections from now on; those that are open stay."""
        if self._server is not None:
            self._server.close()
            self._server = None

    async def arrived(self, count: int) -> None:
        """Wait until so many requests have arrived as far as their plays read them."""
        async with self._arrived:
            await self._arrived.wait_for(lambda: len(self.arrivals) >= count)

    def shut_kept_connections(self) -> None:
        """End every connection now. The other side learns it when its event loop next looks."""
        for writer in self._writers:
            writer.get_extra_info("socket").shutdown(socket.SHUT_RDWR)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.resets_new:
            self.resets_new -= 1
            return reset(writer)
        self._writers.add(writer)
        try:
            while first := await reader.read(1):
                arrival = Arrival()
                # Counted now: whatever follows, a part of it is here.
                self.arrivals.append(arrival)
                play = self.plays[min(len(self.arrivals), len(self.plays)) - 1]
                await self._read(arrival, first, reader, play)
                async with self._arrived:
                    self._arrived.notify_all()
                if not await play.act(Exchange(self, arrival, reader, writer)):
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _read(self, arrival: Arrival, first: bytes, reader: asyncio.StreamReader, play: Play) -> None:
        arrival.head = first
        if play.reads == "start":
            return
        arrival.head += await reader.readuntil(b"\r\n\r\n")
        if play.reads == "head":
            return
        length = int(next(iter(arrival.fields("content-length")), "0"))
        if play.reads == "part" and length > PART_BYTES:
            arrival.body = await reader.readexactly(PART_BYTES)
            return
        arrival.body = await reader.readexactly(length)
        arrival.whole = True


def reset(writer: asyncio.StreamWriter) -> None:
    sock = writer.get_extra_info("socket")
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def says(
    status: int, body: bytes = b"{}", *fields: str, cut: int = 0, then: Literal["go on", "close", "hang"] = "go on"
) -> Play:
    """Respond, but for the last `cut` bytes of the body, then go on, or do it where there is no body."""

    async def act(exchange: Exchange) -> bool:
        head = "\r\n".join((f"HTTP/1.1 {status} Said", f"Content-Length: {len(body)}", *fields, "", ""))
        has_body = exchange.arrival.method != "HEAD" and status not in (204, 304)
        await exchange.send(head.encode() + (body[: len(body) - cut] if has_body else b""))
        if has_body and then == "hang":
            await exchange.wait_for_end()
        return then == "go on" or not has_body

    return Play(act)


def sends(raw: bytes, then: Literal["close", "hang"] = "close", *, of_body: bytes = b"") -> Play:
    """Send these bytes, then `of_body`. The connection goes on where `of_body` is not sent, since it is a HEAD."""

    async def act(exchange: Exchange) -> bool:
        await exchange.send(raw)
        if of_body and exchange.arrival.method == "HEAD":
            return True
        await exchange.send(of_body)
        if then == "hang":
            await exchange.wait_for_end()
        return False

    return Play(act)


async def _reset(exchange: Exchange) -> bool:
    exchange.reset()
    return False


async def _close(exchange: Exchange) -> bool:
    return False


async def _hang(exchange: Exchange) -> bool:
    await exchange.wait_for_end()
    return False


RESET_AT_THE_FIRST_BYTE = Play(_reset, reads="start")
RESET_AFTER_THE_HEAD = Play(_reset, reads="head")
RESET_IN_THE_BODY = Play(_reset, reads="part")
RESET_INSTEAD_OF_AN_ANSWER = Play(_reset)
CLOSED_INSTEAD_OF_AN_ANSWER = Play(_close)
HANGS = Play(_hang)
HANGS_IN_THE_BODY = Play(_hang, reads="part")


def when_told(play: Play) -> Play:
    """Respond once the test sets `goes_on`."""

    async def act(exchange: Exchange) -> bool:
        await exchange.partner.goes_on.wait()
        return await play.act(exchange)

    return Play(act)
