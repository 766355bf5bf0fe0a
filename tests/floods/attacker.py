"""One attacker, a process of its own: python -m tests.floods.attacker KIND HOST PORT SECONDS CONNECTIONS ENOUGH.

It ends by itself, after SECONDS and ENOUGH connections or requests, and prints how many of both there were.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import sys
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping
from typing import TypeAlias

import uvloop

from sidecar.app.open_files import share_open_files

_END = "Host: localhost\r\nSidecar-Request: true\r\n\r\n"
_MALFORMED = b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer CANARY\x01\r\n\r\n"
_STRANGE = b"GET /v1/token HTTP/1.1\r\nHost: evil.example\r\nSidecar-Request: true\r\n\r\n"


LOOK_S = 0.02
OPENING = 64
"""Connections that are being opened at once."""


class Attacker:
    """`connections` is how many it has open at most."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._where = (host, port)
        self._connections = connections
        self.done: Counter[str] = Counter()

    async def idle(self) -> None:
        """Opens one silent connection after the other; those beyond its number are let go."""
        held: deque[asyncio.BaseTransport] = deque()

        async def open_one() -> None:
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *self._where)
            self.done["connections"] += 1
            held.append(transport)
            if len(held) > self._connections:
                held.popleft().close()

        await self._crowd(open_one, at_once=OPENING)

    async def malformed(self) -> None:
        """One request a connection: it is closed each time."""
        await self._crowd(self._malformed)

    async def unknown(self) -> None:
        await self._crowd(lambda: self._keep_asking(lambda: f"GET /{random.random()} HTTP/1.1\r\n{_END}".encode()))

    async def nobody(self) -> None:
        """Profiles that do not exist."""
        await self._crowd(
            lambda: self._keep_asking(lambda: f"GET /v1/token/p{random.randrange(10**9)} HTTP/1.1\r\n{_END}".encode())
        )

    async def strange(self) -> None:
        """Refused by a guard."""
        await self._crowd(lambda: self._keep_asking(lambda: _STRANGE))

    async def _crowd(self, one: Callable[[], Awaitable[None]], at_once: int = 0) -> None:
        async def again() -> None:
            while True:
                with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                    await one()

        await asyncio.gather(*(again() for _ in range(at_once or self._connections)))

    async def _malformed(self) -> None:
        reader, writer = await asyncio.open_connection(*self._where)
        self.done["connections"] += 1
        try:
            writer.write(_MALFORMED)
            self.done["requests"] += 1
            await reader.read()
        finally:
            writer.transport.abort()

    async def _keep_asking(self, request: Callable[[], bytes]) -> None:
        reader, writer = await asyncio.open_connection(*self._where)
        self.done["connections"] += 1
        try:
            while True:
                writer.write(request())
                self.done["requests"] += 1
                await reader.readuntil(b'"}')
        finally:
            writer.transport.abort()


Kind: TypeAlias = Callable[[Attacker], Awaitable[None]]
KINDS: Mapping[str, Kind] = {
    "idle": Attacker.idle,
    "malformed": Attacker.malformed,
    "unknown": Attacker.unknown,
    "nobody": Attacker.nobody,
    "strange": Attacker.strange,
}


async def _main(kind: str, host: str, port: str, seconds: str, connections: str, enough: str) -> None:
    share_open_files(int(connections))
    attacker = Attacker(host, int(port), int(connections))
    attack = asyncio.ensure_future(KINDS[kind](attacker))
    await asyncio.wait({attack}, timeout=float(seconds))
    while not attack.done() and max(attacker.done.values(), default=0) < int(enough):
        await asyncio.wait({attack}, timeout=LOOK_S)
    attack.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await attack
    print(json.dumps(attacker.done))


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
