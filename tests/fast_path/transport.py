"""The transport of one client: in memory, over TCP or a unix socket, with a client that may half-close or not read."""

from __future__ import annotations

import asyncio
import re
import socket
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from tests.fuzz.conversation import Wire
from tests.support.virtual_loop import running_loop

_DATE = re.compile(rb"\r\nDate: [^\r]*")


@dataclass(frozen=True)
class TcpPeer:
    """A client, and the local address that it is connected to."""

    port: int
    local_address: str = "127.0.0.1"

    @property
    def extra_info(self) -> Mapping[str, object]:
        return {"peername": ("127.0.0.1", self.port), "sockname": (self.local_address, 8181)}


@dataclass(frozen=True)
class UnixPeer:
    """A client that runs as this user."""

    uid: int

    @property
    def extra_info(self) -> Mapping[str, object]:
        return {"peername": "", "sockname": "/run/token-sidecar.sock", "socket": UnixSocket(self.uid)}


class UnixSocket:
    """A connected unix socket whose peer has any user id, as `getsockopt` with SO_PEERCRED returns it."""

    family = socket.AF_UNIX

    def __init__(self, uid: int) -> None:
        self._uid = uid

    def fileno(self) -> int:
        """Return a descriptor that is open, and whose peer is connected."""
        return _open_sockets()[0].fileno()

    def getsockopt(self, level: int, option: int, size: int) -> bytes:
        assert (level, option, size) == (socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return struct.pack("3i", 1, self._uid, self._uid)

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """aiohttp enables the keep-alive of TCP, which a unix socket accepts and ignores."""
        assert (level, option) == (socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@cache
def _open_sockets() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair()


@dataclass(frozen=True)
class Received:
    """The data that a client received on one connection since the previous check, and whether it was closed.

    Without the dates of the responses. `is_ended`: the listener has closed its writing side.
    """

    data: bytes
    is_closed: bool
    is_ended: bool


class ClientTransport(Wire):
    """Delivers nothing while its reading is paused, and writes nothing after its end, like real transports."""

    def __init__(self, loop: asyncio.AbstractEventLoop, peer: TcpPeer | UnixPeer) -> None:
        super().__init__(loop)
        self._info = peer.extra_info
        self._reads = True
        self._unread = bytearray()
        self._is_ended = False
        self._eof_is_due = False
        self._is_full = False
        self.wrote_eof = False
        self.sends_next = b""
        """The data that the client sends as soon as it receives a response."""

    def look(self) -> Received:
        """Return what happened since the last check."""
        data = _DATE.sub(b"", bytes(self.written))
        self.written.clear()
        return Received(data, self.is_closing(), self.wrote_eof)

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's own
        return self._info.get(name, default)

    def receive(self, data: bytes) -> None:
        """Receive `data` from the client."""
        if self._is_ended or self.is_closing():
            return
        self._unread += data
        self._deliver()

    def receive_eof(self) -> None:
        """Receive the end of the client's writing side."""
        if not self._is_ended and not self.is_closing():
            self._is_ended = self._eof_is_due = True
            self._deliver()

    def fill(self) -> None:
        """Fill the buffer as if the client read no responses, until the transport has to pause writing."""
        if not self._is_full and not self.is_closing():
            self._is_full = True
            self.protocol.pause_writing()

    def empty(self) -> None:
        """Empty the buffer as if the client had read everything."""
        if self._is_full and not self.is_closing():
            self._is_full = False
            self.protocol.resume_writing()

    def get_write_buffer_size(self) -> int:
        return int(self._is_full)

    def _can_read(self) -> bool:
        return self._reads and not self.is_closing()

    def _deliver(self) -> None:
        if not self._can_read():
            return
        if self._unread:
            data = bytes(self._unread)
            self._unread.clear()
            self.protocol.data_received(data)
        if self._eof_is_due and self._can_read():
            self._eof_is_due = False
            if not self.protocol.eof_received():
                self.close()

    def pause_reading(self) -> None:
        self._reads = False

    def resume_reading(self) -> None:
        if not self._reads:
            self._reads = True
            if self._unread or self._eof_is_due:
                running_loop().call_soon(self._deliver)

    def write(self, data: bytes | bytearray | memoryview[int]) -> None:
        if not self.is_closing() and not self.wrote_eof:
            super().write(data)
            if self.sends_next:
                running_loop().call_soon(self.receive, self.sends_next)
                self.sends_next = b""

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.wrote_eof = True


async def settle() -> None:
    """Let the event loop run until no callback is left, without time passing."""
    loop = running_loop()
    await asyncio.sleep(0)
    while not loop.is_idle():  # noqa: ASYNC110 - it reads the loop's own state, for which there is no event
        await asyncio.sleep(0)
