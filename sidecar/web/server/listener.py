"""A listener: one handler behind any number of TCP and unix addresses."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeAlias

from sidecar.core.model import Address, Seconds
from sidecar.file_operations import run_aside
from sidecar.web.server.http_server import HttpServer
from sidecar.web.server.sockets import BACKLOG, bound_address, open_sockets

_SHORTEST_GRACE_S: Seconds = 0.02

FileIdentity: TypeAlias = tuple[int, int]


class Listener:
    """Serves from `start` to `stop`; `make` is called once, at the start, for what stands behind the sockets."""

    def __init__(self, make: Callable[[], HttpServer]) -> None:
        self._make = make
        self._http: HttpServer | None = None
        self._servers: list[asyncio.Server] = []
        self._unix_files: list[tuple[Path, FileIdentity]] = []
        self._bound: tuple[Address, ...] = ()

    @property
    def bound(self) -> tuple[Address, ...]:
        """The addresses that are listened on since `start`, with the real port where 0 was asked for."""
        return self._bound

    @property
    def connections(self) -> int:
        """How many there are now."""
        return len(self._http.registry) if self._http is not None else 0

    async def start(self, addresses: Sequence[Address]) -> None:
        """Listen on all of `addresses`, or on none.

        Raises `ConfigurationError` when one cannot be had: in use, not ours, or a unix path that is no socket.
        """
        self._http = self._make()
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
        """Serve on, and end each connection with its next answer."""
        if self._http is not None:
            self._http.drain()

    async def stop(self, grace_s: Seconds) -> None:
        """Accept nothing more, let running requests end within `grace_s`, then cut them off."""
        if self._http is None:
            return
        for server in self._servers:
            server.close()
        removal = run_aside(self._remove_unix_files)
        # Connections whose first bytes are in already are served before the idle ones are closed.
        await asyncio.sleep(0)
        self._http.registry.close()
        self._http.pre_shutdown()
        # aiohttp spends its limit twice: on waiting, and once more before it cancels. To it, 0 means "for ever".
        await self._http.shutdown(max(grace_s, _SHORTEST_GRACE_S) / 2)
        for server in self._servers:
            await server.wait_closed()
        # A file system that hangs does not hold up the end: the next start removes what is left.
        await asyncio.wait((removal,), timeout=grace_s)
        self._servers = []
        self._http = None

    async def _serve(self, sock: socket.socket) -> asyncio.Server:
        loop = asyncio.get_running_loop()
        factory = self._http
        assert factory is not None  # noqa: S101 - set by `start`, tells the type checker
        if sock.family == socket.AF_UNIX:
            return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG)
        # Said again: the event loop calls `listen` itself, with a hundred if it is not told.
        return await loop.create_server(factory, sock=sock, backlog=BACKLOG)

    def _remove_unix_files(self) -> None:
        """Remove our socket files, but not one that a successor has put in their place."""
        for path, identity in self._unix_files:
            with contextlib.suppress(OSError):
                if _identity(path) == identity:
                    path.unlink()
        self._unix_files = []


def _unix_files(addresses: Sequence[Address]) -> list[tuple[Path, FileIdentity]]:
    """Our socket files with what tells them from a successor's; one that is gone already is left out."""
    found = ((path, _identity(path)) for address in addresses if address.file for path in [Path(address.file)])
    return [(path, identity) for path, identity in found if identity is not None]


def _identity(path: Path) -> FileIdentity | None:
    """Device and inode of what lies there, a link itself included; None where nothing does."""
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev, status.st_ino
