"""Connects to a running sidecar over TCP or a unix socket. One time limit includes the name look-up."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias
from urllib.parse import SplitResult, urlsplit

from sidecar.core.errors import ConfigurationError, SidecarError
from sidecar.core.model import Seconds
from sidecar.core.proxies import is_loopback

_Addresses: TypeAlias = list[tuple[int, tuple[Any, ...]]]
"""Address families, and addresses in the socket module's form: the numeric address comes first."""


class UnreachableError(SidecarError):
    """No sidecar responds at the address."""


class Deadline:
    """One time limit for all waits of a command."""

    def __init__(self, limit_s: Seconds) -> None:
        self._ends_at = time.monotonic() + limit_s

    def left_s(self) -> Seconds:
        """Return the remaining time, above 0. Raises `TimeoutError` when none remains."""
        left_s = self._ends_at - time.monotonic()
        if left_s <= 0:
            raise TimeoutError
        return left_s


@dataclass(frozen=True, slots=True)
class Place:
    """A sidecar's address: the path of a unix socket (a null byte precedes an abstract name), or host and port."""

    path: str = ""
    host: str = ""
    port: int = 0

    @property
    def host_header(self) -> str:
        if self.path:
            return "localhost"
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def place(url: str) -> Place:
    """Parse `http://host:port`, `host:port`, `unix:/path` or `unix:@name`. Raises `UnreachableError`."""
    if url.startswith("unix:"):
        path = url.removeprefix("unix:")
        return Place(path=f"\0{path[1:]}" if path.startswith("@") else "/" + path.lstrip("/"))
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        found = Place(host=parts.hostname or "", port=parts.port or 80) if _is_plain(parts) else None
    except ValueError:
        found = None
    if found is None or not found.host:
        raise UnreachableError("the address must be http://host:port, host:port, unix:/path or unix:@name")
    return found


def _is_plain(parts: SplitResult) -> bool:
    """Return whether the URL has no parts that a sidecar ignores, and nothing that would split the header `Host`."""
    alone = parts.path in ("", "/") and not parts.query and not parts.fragment and parts.username is None
    return alone and parts.scheme == "http" and parts.netloc.isascii() and parts.netloc.isprintable()


def dial(where: Place, deadline: Deadline, *, loopback_only: bool) -> socket.socket:
    """Connect. `loopback_only`: the request has a caller token that must not leave this machine.

    Raises `ConfigurationError`, before any connection, when all addresses are of other machines; `OSError`, also
    `TimeoutError`, when no connection is accepted.
    """
    if where.path:
        return _connected(socket.AF_UNIX, where.path, deadline.left_s())
    found = _addresses(where, deadline)
    if loopback_only:
        # By the address, not by the name: a name server may return the address of any machine.
        found = [one for one in found if is_loopback(one[1][0])]
        if not found:
            only = "the caller token is sent only to loopback addresses and unix sockets"
            raise ConfigurationError([f"{only}, and {where.host} is neither: see --allow-remote"])
    for left, (family, address) in zip(range(len(found), 1, -1), found, strict=False):
        try:
            # An address that does not respond leaves time for the next ones.
            return _connected(family, address, deadline.left_s() / left)
        except OSError:
            continue
    return _connected(*found[-1], deadline.left_s())


def _connected(family: int, address: str | tuple[Any, ...], limit_s: Seconds) -> socket.socket:
    connection = socket.socket(family, socket.SOCK_STREAM)
    try:
        connection.settimeout(limit_s)
        connection.connect(address)
    except BaseException:
        connection.close()
        raise
    return connection


def _addresses(where: Place, deadline: Deadline) -> _Addresses:
    """Return at least one pair of address family and address. Raises `OSError`."""

    def look_up(flags: int = 0) -> _Addresses:
        found = socket.getaddrinfo(where.host, where.port, type=socket.SOCK_STREAM, flags=flags)
        return [(family, address) for family, _, _, _, address in found]

    try:
        return look_up(socket.AI_NUMERICHOST)
    except socket.gaierror:
        return _in_a_thread(look_up, deadline)


def _in_a_thread(look_up: Callable[[], _Addresses], deadline: Deadline) -> _Addresses:
    """Wait for a look-up, at most until the deadline: the look-up itself ends by no signal and no time limit."""
    done: list[_Addresses | OSError] = []

    def run() -> None:
        try:
            done.append(look_up())
        except OSError as error:
            done.append(error)
        except UnicodeError:
            done.append(OSError(None, "invalid host name"))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(deadline.left_s())
    if not done:
        raise TimeoutError
    if isinstance(done[0], OSError):
        raise done[0]
    return done[0]
