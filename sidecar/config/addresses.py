"""Parses listener addresses: `host:port`, `:port`, `unix:/path` or `unix:@name`."""

from __future__ import annotations

import ipaddress
import re
import sys

from sidecar.core.hosts import is_loopback
from sidecar.core.model import Address

MAX_SOCKET_PATH_BYTES = 103
"""The shortest `sun_path` of the supported systems (macOS: 104 with the terminating null; Linux: 108)."""


def address(text: str) -> Address:
    """Parse one listener address. Raises `ValueError` with the required form."""
    if text.startswith("unix:"):
        return _socket(text.removeprefix("unix:"))
    host, colon, port = text.rpartition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535:
        raise ValueError("must be host:port such as 127.0.0.1:8181 or [::1]:8181, :port, or unix:/path")
    if not host:
        return Address(port=int(port))
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not _is_host(bare, bracketed=bare != host):
        raise ValueError("must have a host name or address before the port; IPv6 addresses go in brackets")
    return Address(host=bare, port=int(port))


def is_local(where: Address) -> bool:
    """Return whether only this machine can reach the address."""
    return bool(where.path) or is_loopback(where.host)


def _socket(path: str) -> Address:
    if path.startswith("@"):
        return _abstract_socket(path)
    path = "/" + path.lstrip("/") if path.startswith("/") else path  # unix:/x and unix:///x are the same
    # With a null byte the system would make a socket of another name. Text that is not UTF-8 has no length in bytes.
    if not path.startswith("/") or path.endswith("/") or not path.isprintable():
        raise ValueError(
            "must name an absolute path of printable characters, such as unix:/run/vend.sock, or unix:@name"
        )
    if len(path.encode()) > MAX_SOCKET_PATH_BYTES:
        raise ValueError(f"must have a socket path of at most {MAX_SOCKET_PATH_BYTES} bytes, the system's limit")
    return Address(path=path)


def _abstract_socket(path: str) -> Address:
    """Parse a name without a file. It is visible in the network namespace, which a pod's containers share (unix(7))."""
    if not sys.platform.startswith("linux"):
        raise ValueError("must not name an abstract socket: only Linux has them")
    if not path.isascii() or not path.isprintable() or not 1 < len(path) <= MAX_SOCKET_PATH_BYTES:
        raise ValueError(f"must have 1 to {MAX_SOCKET_PATH_BYTES - 1} printable ASCII characters after unix:@")
    return Address(path=path)


def _is_host(host: str, *, bracketed: bool) -> bool:
    try:
        return (ipaddress.ip_address(host).version == 6) == bracketed
    except ValueError:
        return not bracketed and re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?", host) is not None
