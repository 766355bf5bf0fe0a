"""One accepted socket: its peer, and how it is read, written and closed."""

from __future__ import annotations

import asyncio
import select
import socket
import struct
from dataclasses import dataclass
from typing import cast

from sidecar.core.listener_limits import Limit, Limits
from sidecar.core.model import MonotonicTime, Seconds
from sidecar.web.server.connection_registry import ConnectionRegistry, ManagedConnection

LINGER_S: Seconds = 1.0
"""How long the rest of a refused request is read and ignored: closing at once would send a reset, which may overtake
the response."""
_UCRED = struct.Struct("3i")
"""pid, uid, gid: `struct ucred` of unix(7)."""


@dataclass(frozen=True, slots=True)
class Peer:
    """The properties of a connection that the guards read.

    `uid` is the caller's user id on a unix socket, and None over TCP or when the connection is lost. `local_address`
    is the IP address that the caller connected to, and empty on a unix socket. `key` is equal for two peers exactly
    when the other fields are.
    """

    is_unix: bool
    uid: int | None
    local_address: str
    key: bytes


_NOBODY = Peer(is_unix=False, uid=None, local_address="", key=b"")


class SocketProtocol(ManagedConnection, asyncio.Protocol):
    """The only code that reads, writes or closes the socket."""

    __slots__ = (
        "_caller", "_loop", "_pauses", "_unread_since", "is_closing", "is_half_closed", "peer", "registry", "transport",
        "write_paused",
    )  # fmt: skip

    def __init__(self, registry: ConnectionRegistry, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self.registry = registry
        self._loop = loop
        self._caller = ""
        self._pauses: set[str] = set()
        self._unread_since: MonotonicTime | None = None
        self.peer = _NOBODY
        """Set in `connection_made`."""
        self.transport: asyncio.Transport | None = None
        """None before the connection is made, and once it is lost."""
        self.write_paused = False
        """Whether the write buffer is full, because the client does not read."""
        self.is_closing = False
        """Whether all further received bytes are ignored."""
        self.is_half_closed = False
        """Whether the client has closed its writing side."""

    @property
    def limits(self) -> Limits:
        return self.registry.limits

    def limited(self, limit: Limit) -> None:
        self.registry.limited(limit)

    @property
    def caller(self) -> str:
        """The caller's name for the audit; empty when the connection is lost."""
        if self.transport is None:
            return ""
        if not self._caller:
            self._caller = caller_name(self.transport, self.peer)
        return self._caller

    def has_left(self) -> bool:
        """Whether the client has closed its writing side, or the connection is lost."""
        return self.is_half_closed or self.transport is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self.peer = peer_of(transport)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's form
        self.is_closing = True
        self.transport = None
        self.registry.remove(self)

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def close(self) -> None:
        """Close after all written bytes are sent."""
        self.is_closing = True
        if self.transport is not None:
            self.transport.close()

    def linger(self) -> None:
        """Close after the client, or after `LINGER_S`."""
        if self.transport is None or self.is_half_closed or not self.transport.can_write_eof():
            self.close()
        else:
            self.is_closing = True
            self.transport.write_eof()
            self._loop.call_later(LINGER_S, self.transport.close)

    def abort(self) -> None:
        """As `ManagedConnection`."""
        self.is_closing = True
        if self.transport is not None:
            self.transport.abort()

    def pause_reading(self, reason: str) -> None:
        if not self._pauses and self.transport is not None and not self.is_closing:
            self.transport.pause_reading()
        self._pauses.add(reason)

    def resume_reading(self, reason: str) -> None:
        """Resume reading, unless another reason for the pause remains."""
        if reason in self._pauses:
            self._pauses.remove(reason)
            if not self._pauses and self.transport is not None and not self.is_closing:
                self.transport.resume_reading()

    def overdue(self, now: MonotonicTime) -> Limit | None:
        """As `ManagedConnection`: the limit for responses that the client does not read."""
        transport = self.transport
        if transport is None:
            return None
        if self.is_half_closed and _was_reset(transport):
            # The client exceeded no limit, so none is reported.
            transport.abort()
        elif not transport.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > self.limits.write_timeout_s:
            return "slow-reader"
        return None


def _was_reset(transport: asyncio.Transport) -> bool:
    """Whether the peer has closed both directions. After the end of its input, no event loop checks for that."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return False
    poll = select.poll()
    poll.register(sock.fileno(), 0)
    return bool(poll.poll(0))


def peer_of(transport: asyncio.BaseTransport) -> Peer:
    # The socket wrappers of asyncio and uvloop both have the three methods that are used here.
    sock = transport.get_extra_info("socket")
    if sock is not None and sock.family == socket.AF_UNIX:
        uid = _uid(sock)
        return Peer(is_unix=True, uid=uid, local_address="", key=f"unix {uid} ".encode())
    name = transport.get_extra_info("sockname")
    address = str(name[0]) if isinstance(name, tuple) else ""
    return Peer(is_unix=False, uid=None, local_address=address, key=f"tcp {address} ".encode())


def caller_name(transport: asyncio.BaseTransport, peer: Peer) -> str:
    """Return the caller's name for the audit: `uid:1000` or `127.0.0.1:54321`; empty when the connection is lost."""
    if peer.is_unix:
        return "" if peer.uid is None else f"uid:{peer.uid}"
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return ""
    host, port = name[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _uid(sock: socket.socket) -> int | None:
    """Return the caller's user id. It is right across containers, where the pid beside it is 0."""
    if sock.fileno() < 0:
        return None
    _, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)
