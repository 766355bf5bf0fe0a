"""Listening sockets: TCP by host name or address, and unix sockets. Only owner and group may use their files."""

from __future__ import annotations

import errno
import os
import socket
import stat
from collections.abc import Callable, Iterable
from pathlib import Path

from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Address
from sidecar.file_operations import FileOperationError, read_in_time

UNIX_MODE = 0o660
BACKLOG = 1024
"""The queue must not be full when many callers start at once. The kernel caps it at `somaxconn`."""

_HOSTS = {"": ("0.0.0.0", "::"), "localhost": ("127.0.0.1", "::1")}  # noqa: S104 - asked for by `:port`
"""The addresses for no host name and for `localhost`, independent of the machine's /etc/hosts."""
_PORT_ATTEMPTS = 10
# The errors for an IPv6 address on a machine without IPv6.
_NO_SUCH_FAMILY = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT}


def open_sockets(address: Address) -> list[socket.socket]:
    """Return sockets that listen on `address`; several when its host name has several addresses.

    Raises `ConfigurationError` when one of them cannot be opened.
    """
    try:
        return [_unix(address)] if address.path else _tcp(address)
    except FileOperationError as error:
        raise ConfigurationError([f"cannot listen on {address}: {error}"]) from None
    except OSError as error:
        raise ConfigurationError([f"cannot listen on {address}: {error.strerror or type(error).__name__}"]) from error


def bound_address(sock: socket.socket) -> Address:
    """Return the address of a listening socket, with the real port in place of 0."""
    name = sock.getsockname()
    if sock.family == socket.AF_UNIX:
        return Address(path=f"@{name[1:].decode()}" if isinstance(name, bytes) else name)
    return Address(host=name[0], port=name[1])


def _tcp(address: Address) -> list[socket.socket]:
    found = dict.fromkeys(
        (family, str(where[0]))
        for host in _HOSTS.get(address.host.lower(), (address.host,))
        for family, _, _, _, where in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    )
    for attempt in range(_PORT_ATTEMPTS, 0, -1):
        try:
            return _listen_on_all(found, address.port)
        except OSError as error:
            # With port 0, the free port of the first address may be in use at the next address.
            if address.port or error.errno != errno.EADDRINUSE or attempt == 1:
                raise
    raise AssertionError


def _listen_on_all(found: Iterable[tuple[int, str]], port: int) -> list[socket.socket]:
    """Listen on the same port of every address, without those of an IP version that the machine does not have."""
    sockets: list[socket.socket] = []
    last: OSError | None = None
    for family, host in found:
        try:
            sockets.append(_listen_tcp(family, (host, port)))
        except OSError as error:
            if error.errno not in _NO_SUCH_FAMILY:
                for sock in sockets:
                    sock.close()
                raise
            last = error
        else:
            port = sockets[0].getsockname()[1]
    if last is not None and not sockets:
        raise last
    return sockets


def _listen_tcp(family: int, where: tuple[str, int]) -> socket.socket:
    def bind(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(where)

    return _listening(family, bind)


def _unix(address: Address) -> socket.socket:
    if address.file:
        read_in_time(lambda: _remove_stale(Path(address.file)))
        return _listening(socket.AF_UNIX, lambda sock: _bind_file(sock, address.file))
    return _listening(socket.AF_UNIX, lambda sock: sock.bind(f"\0{address.path[1:]}"))


def _listening(family: int, bind: Callable[[socket.socket], None]) -> socket.socket:
    """Return a new listening socket. Raises `OSError`, with nothing left open."""
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        bind(sock)
        sock.listen(BACKLOG)
    except OSError:
        sock.close()
        raise
    sock.setblocking(False)
    return sock


def _bind_file(sock: socket.socket, path: str) -> None:
    """Create the socket's file with `UNIX_MODE`, independent of the umask. Raises `OSError`.

    The mode is set by the creation. A later `chmod` by path would follow a link that another user may have put in the
    place of the file, and an `fchmod` of a bound socket does not change its file.
    """
    # The umask applies to the whole process: while the listeners open, no other thread creates files.
    umask = os.umask(0o777 & ~UNIX_MODE)
    try:
        sock.bind(path)
    finally:
        os.umask(umask)


def _remove_stale(path: Path) -> None:
    """Remove a socket file without a listener. Raises `OSError` when it has one, or when it is no socket."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise OSError(errno.EEXIST, "the path exists and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        # Connecting to a local socket blocks only if its listener's queue is full.
        probe.setblocking(False)
        if probe.connect_ex(str(path)) not in (errno.ECONNREFUSED, errno.ENOENT):
            raise OSError(errno.EADDRINUSE, "another process listens there")
    path.unlink(missing_ok=True)
