"""TCP connections to a host: its addresses are tried as RFC 8305 says, starting with the one that worked last."""

from __future__ import annotations

import socket
from typing import TypeAlias

from aiohappyeyeballs import start_connection

from sidecar.core.model import Seconds
from sidecar.resolver import Resolver

ATTEMPT_DELAY_S: Seconds = 0.25
"""Time between two attempts (RFC 8305, section 8); less where the time limit is short."""
LEAST_DELAY_S: Seconds = 0.01
MAX_REMEMBERED = 256

_Place: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
_AddrInfo: TypeAlias = tuple[int, int, int, str, _Place]


class TcpConnector:
    """Opens connections. The caller enforces the time limit."""

    def __init__(self, resolver: Resolver, limit_s: Seconds) -> None:
        """`limit_s` is the caller's time limit for one connection; the attempts are spread over its first half."""
        self._resolver = resolver
        self._limit_s = limit_s
        self._worked: dict[tuple[str, int], _Place] = {}

    async def connect(self, host: str, port: int) -> socket.socket:
        """Return a connected socket. Raises `OSError`, on uvloop also `RuntimeError`."""
        worked = self._worked.get((host, port))
        found = [_addr_info(address, port) for address in await self._resolver.resolve(host)]
        found.sort(key=lambda info: info[-1] != worked)
        # The other half is for the look-up, the last address and TLS.
        delay_s = max(LEAST_DELAY_S, min(ATTEMPT_DELAY_S, self._limit_s / 2 / len(found)))
        connected = await start_connection(found, happy_eyeballs_delay=delay_s)
        if len(found) > 1:
            self._remember(host, port, connected.getpeername())
        return connected

    def _remember(self, host: str, port: int, place: _Place) -> None:
        self._worked.pop((host, port), None)
        self._worked[host, port] = place
        # Limited because a server may announce any number of names.
        if len(self._worked) > MAX_REMEMBERED:
            del self._worked[next(iter(self._worked))]


def _addr_info(address: str, port: int) -> _AddrInfo:
    """Convert a numeric address, without a look-up."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    family, kind, protocol, name, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags)[0]
    return family, kind, protocol, name, place  # type: ignore[return-value]  # no packet or Bluetooth address
