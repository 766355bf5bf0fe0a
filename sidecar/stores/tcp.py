"""TCP connections to a host with several addresses: tried as RFC 8305 does, the one that worked last first."""

from __future__ import annotations

import socket
from typing import TypeAlias

from aiohappyeyeballs import start_connection

from sidecar.core.model import Seconds
from sidecar.names import Names

ATTEMPT_DELAY_S: Seconds = 0.25
"""How long an address is tried alone, where time allows (RFC 8305, section 8)."""
LEAST_DELAY_S: Seconds = 0.01
MAX_REMEMBERED = 256

_Place: TypeAlias = tuple[str, int] | tuple[str, int, int, int]
_AddrInfo: TypeAlias = tuple[int, int, int, str, _Place]


class TcpConnector:
    """Connects within a time limit that the caller sets: `limit_s` is how the attempts are spread over it."""

    def __init__(self, names: Names, limit_s: Seconds) -> None:
        self._names = names
        self._limit_s = limit_s
        self._worked: dict[tuple[str, int], _Place] = {}

    async def connect(self, host: str, port: int) -> socket.socket:
        """A connected socket. Raises `OSError`, and `RuntimeError` on uvloop."""
        worked = self._worked.get((host, port))
        found = [_addr_info(address, port) for address in await self._names.addresses(host)]
        found.sort(key=lambda info: info[-1] != worked)
        # The last one begins when half of the time is over: the name may have taken some, and TLS will.
        delay_s = max(LEAST_DELAY_S, min(ATTEMPT_DELAY_S, self._limit_s / 2 / len(found)))
        connected = await start_connection(found, happy_eyeballs_delay=delay_s)
        if len(found) > 1:
            self._remember(host, port, connected.getpeername())
        return connected

    def _remember(self, host: str, port: int, place: _Place) -> None:
        self._worked.pop((host, port), None)
        self._worked[host, port] = place
        # The names may come from a server, which must not fill the memory.
        if len(self._worked) > MAX_REMEMBERED:
            del self._worked[next(iter(self._worked))]


def _addr_info(address: str, port: int) -> _AddrInfo:
    """For a numeric address, which takes no look-up."""
    flags = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    family, kind, protocol, name, place = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM, flags=flags)[0]
    return family, kind, protocol, name, place  # type: ignore[return-value]  # no packet or Bluetooth address
