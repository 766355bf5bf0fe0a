"""Who is at the other end of a unix socket, by the kernel's word."""

from __future__ import annotations

import socket
import struct

from aiohttp.web_request import BaseRequest

_UCRED = struct.Struct("3i")
"""pid, uid, gid: `struct ucred` of unix(7)."""


def is_unix(request: BaseRequest) -> bool:
    sock = _socket(request)
    return sock is not None and sock.family == socket.AF_UNIX


def peer_uid(request: BaseRequest) -> int | None:
    """The caller's user id; None when the connection is gone. Its pid is 0 across containers, the uid is right."""
    sock = _socket(request)
    if sock is None or sock.fileno() < 0:
        return None
    _, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)


def local_address(request: BaseRequest) -> str:
    """The IP address that the caller connected to; empty on a unix socket, or when the connection is gone."""
    name = None if request.transport is None else request.transport.get_extra_info("sockname")
    return str(name[0]) if isinstance(name, tuple) else ""


def caller_name(request: BaseRequest) -> str:
    """The caller for people: `uid:1000`, or the address as `127.0.0.1:54321`; empty when the connection is gone."""
    peer = None if request.transport is None else request.transport.get_extra_info("peername")
    if isinstance(peer, tuple):
        host, port = peer[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    uid = peer_uid(request) if is_unix(request) else None
    return "" if uid is None else f"uid:{uid}"


def _socket(request: BaseRequest) -> socket.socket | None:
    # asyncio's and uvloop's stand-ins for the socket both have the three methods used here.
    return None if request.transport is None else request.transport.get_extra_info("socket")
