"""The other end of a connection, according to the kernel."""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

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
