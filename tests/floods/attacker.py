"""One attacker, which is a process: python -m tests.floods.attacker KIND HOST PORT SECONDS CONNECTIONS ENOUGH.

It ends after SECONDS and ENOUGH connections or requests, once its standard input is closed, and prints how many of
both there were.
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

from sidecar.app.process import share_open_files

_END = "Host: localhost\r\nSidecar-Request: true\r\n\r\n"
_MALFORMED = b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer CANARY\x01\r\n\r\n"
_HALF_A_HEAD = b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\n"
_NO_BODY = (
    f"POST /oauth/token HTTP/1.1\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100\r\n{_END}"
).encode()
_LONG_POLL = f"GET /v1/token?wait=60 HTTP/1.1\r\nIf-None-Match: *\r\n{_END}".encode()
_FOREIGN_HOST = b"GET /v1/token HTTP/1.1\r\nHost: evil.example\r\nSidecar-Request: true\r\n\r\n"


LOOK_S = 0.02
OPENING, FEW = 64, 4
"""Connections that are opened at the same time."""
HALF_HEADS_PER_S = 1000
"""At most as many as are accepted. With more, a good caller's request arrives before its connection is accepted."""


class Attacker:
    """`connections` is the most that it has open."""

    def __init__(self, host: str, port: int, connections: int) -> None:
        self._where = (host, port)
        self._connections = connections
        self.done: Counter[str] = Counter()

    async def idle(self) -> None:
        """Open silent connections one after the other, and close the oldest beyond `connections`."""
        await self._open_on()

    async def half_heads(self) -> None:
        """Open connections in the same way, and send the first half of a request head on each."""
        await self._open_on(_HALF_A_HEAD, at_once=FEW, pause_s=FEW / HALF_HEADS_PER_S)

    async def bodies(self) -> None:
        """Send requests without their body, each on its own connection, which is replaced when it ends."""
        await self._repeat(lambda: self._until_closed(_NO_BODY))

    async def long_polls(self) -> None:
        """Send long polls as the clients of one app, and another one after each response."""
        await self._repeat(lambda: self._until_closed(_LONG_POLL, again=True))

    async def _open_on(self, sent: bytes = b"", at_once: int = OPENING, pause_s: float = 0) -> None:
        held: deque[asyncio.BaseTransport] = deque()

        async def open_one() -> None:
            transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, *self._where)
            transport.write(sent)
            self.done["connections"] += 1
            held.append(transport)
            if len(held) > self._connections:
                held.popleft().close()
            await asyncio.sleep(pause_s)

        await self._repeat(open_one, at_once=at_once)

    async def malformed(self) -> None:
        """Send one malformed request on each connection, which is closed each time."""
        await self._repeat(self._malformed)

    async def unknown_paths(self) -> None:
        await self._repeat(lambda: self._keep_asking(lambda: f"GET /{random.random()} HTTP/1.1\r\n{_END}".encode()))

    async def unknown_profiles(self) -> None:
        """Ask for profiles that do not exist."""
        await self._repeat(
            lambda: self._keep_asking(lambda: f"GET /v1/token/p{random.randrange(10**9)} HTTP/1.1\r\n{_END}".encode())
        )

    async def foreign_host(self) -> None:
        """Send requests with a foreign host, which a guard refuses."""
        await self._repeat(lambda: self._keep_asking(lambda: _FOREIGN_HOST))

    async def _repeat(self, one: Callable[[], Awaitable[None]], at_once: int = 0) -> None:
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

    async def _until_closed(self, request: bytes, *, again: bool = False) -> None:
        """Send the request, and with `again` again after each response, until the other side closes."""
        reader, writer = await asyncio.open_connection(*self._where)
        self.done["connections"] += 1
        try:
            writer.write(request)
            while await reader.read(4096):
                self.done["requests"] += 1
                if again:
                    writer.write(request)
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
    "unknown-paths": Attacker.unknown_paths,
    "unknown-profiles": Attacker.unknown_profiles,
    "foreign-host": Attacker.foreign_host,
    "half-heads": Attacker.half_heads,
    "bodies": Attacker.bodies,
    "long-polls": Attacker.long_polls,
}
_ASKING = 64
_CONNECTIONS: Mapping[str, int] = {"idle": 5000, "half-heads": 5000, "bodies": 600, "long-polls": 520}


def connections_of(kind: str) -> int:
    """Return the most connections that an attacker of this kind has open."""
    return _CONNECTIONS.get(kind, _ASKING)


async def _main(kind: str, host: str, port: str, seconds: str, connections: str, enough: str) -> None:
    share_open_files(int(connections))
    attacker = Attacker(host, int(port), int(connections))
    attack = asyncio.ensure_future(KINDS[kind](attacker))
    await asyncio.wait({attack}, timeout=float(seconds))
    while not attack.done() and max(attacker.done.values(), default=0) < int(enough):
        await asyncio.wait({attack}, timeout=LOOK_S)
    await asyncio.to_thread(sys.stdin.read)
    attack.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await attack
    print(json.dumps(attacker.done))


if __name__ == "__main__":
    uvloop.run(_main(*sys.argv[1:]))
