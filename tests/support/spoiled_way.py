"""One direction of a connection, and its faults."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

CHUNK_BYTES = 65536


@dataclass(frozen=True, slots=True, kw_only=True)
class Way:
    """The faults of one direction; by default none."""

    delay_s: float = 0
    """The delay before each chunk, and before each slice of one."""
    jitter_s: float = 0
    """The largest random addition to the delay."""
    slice_bytes: int = 0
    """The number of bytes in a slice; 0 does not slice."""
    silent: bool = False
    """A black hole: data waits here until the fault ends, as a network sends lost data again."""
    reset_after_bytes: int | None = None
    """The connection is reset after so many bytes, counted since this was set."""


CLEAN, SILENT = Way(), Way(silent=True)
WaitForChange: TypeAlias = Callable[[], Awaitable[None]]


class ResetRequested(Exception):  # noqa: N818 - a request, not an error
    """Raised to reset the connection."""


class DirectionRelay:
    """Carries one direction of one connection. It reads `way` before each piece, so faults can change at any time."""

    def __init__(
        self, way: Callable[[], Way], look: Callable[[bytes], None], change: WaitForChange, dice: random.Random
    ) -> None:
        """`look` is called with each chunk before it is sent on; `change` waits for the next change of `way`."""
        self._way, self._look, self._change, self._dice = way, look, change, dice
        self._counted: Way | None = None
        self._passed_bytes = 0

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry until the end of the stream. Raises `ResetRequested` and `ConnectionError`."""
        while chunk := await reader.read(CHUNK_BYTES):
            self._look(chunk)
            for piece in self._pieces(chunk):
                await self._let_through(piece, writer)
        await self._wait()

    def _pieces(self, chunk: bytes) -> Iterator[bytes]:
        place = 0
        while place < len(chunk):
            size = self._way().slice_bytes or len(chunk)
            yield chunk[place : place + size]
            place += size

    async def _let_through(self, piece: bytes, writer: asyncio.StreamWriter) -> None:
        await self._wait()
        way = self._way()
        if way is not self._counted:
            self._counted, self._passed_bytes = way, 0
        limit = way.reset_after_bytes
        allowed = len(piece) if limit is None else limit - self._passed_bytes
        writer.write(piece[:allowed])
        await writer.drain()
        if allowed < len(piece):
            raise ResetRequested
        self._passed_bytes += len(piece)

    async def _wait(self) -> None:
        way = self._way()
        # Also for 0, so that its reader can run between two slices.
        await asyncio.sleep(way.delay_s + self._dice.random() * way.jitter_s)
        while self._way().silent:
            await self._change()
