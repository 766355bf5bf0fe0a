"""Names are looked up in threads that nobody else needs and nobody waits for.

asyncio looks names up in a pool of threads that everything shares, and the process waits for them when it ends
(uvloop's pool is libuv's: https://docs.libuv.org/en/v1.x/threadpool.html). A zone whose servers are silent then holds
up the look-up of every other name, and the end, for up to 40 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TypeAlias

from sidecar.core.model import Seconds

IpAddresses: TypeAlias = tuple[str, ...]
"""Numeric, with the zone of those that need one, in the order in which they should be tried."""
LookUp: TypeAlias = Callable[[str], IpAddresses]
"""Blocks for as long as it takes. Raises `OSError`."""

MAX_UNDER_WAY = 64
"""Look-ups at once, a thread each: the names may come from a server, which must not start threads without end."""
MAX_REMEMBERED = 256
_DEFINITE = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))  # not every system has both
"""The zone's own servers say that there is no such name, or that it has no address."""


def system_look_up(host: str) -> IpAddresses:
    """Ask the system. Raises `OSError`."""
    try:
        return _found(host, socket.AI_ADDRCONFIG)
    except ValueError:
        raise socket.gaierror(socket.EAI_NONAME, "no name can look like this") from None
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise
        # The flag spares a machine without IPv6 half of the questions, but it also hides ::1 from it.
        return _found(host, 0)


class Names:
    """Looks each name up once at a time, and remembers where it led."""

    def __init__(self, patience_s: Seconds, look_up: LookUp = system_look_up) -> None:
        """`patience_s` is how long a look-up may take where an earlier one's result could be used instead."""
        self._patience_s = patience_s
        self._look_up = look_up
        self._under_way: dict[str, asyncio.Future[IpAddresses]] = {}
        self._remembered: dict[str, IpAddresses] = {}

    async def addresses(self, host: str) -> IpAddresses:
        """Where the name leads now; what was found last, while the servers of its zone do not say.

        Waits without a limit when the name was never found; to cancel this ends the waiting, not the look-up. Raises
        `OSError`: `socket.gaierror` too when there is no such name any more.
        """
        if literal := _literal(host):
            return literal
        look_up = self._under_way.get(host) or self._start(host)
        remembered = self._remembered.get(host, ())
        await asyncio.wait((look_up,), timeout=self._patience_s if remembered else None)
        if not look_up.done():
            return remembered
        try:
            return look_up.result()
        except OSError as error:
            # As RFC 8767 has it: no answer is no reason to forget one, but "there is no such name" is an answer.
            if not remembered or (isinstance(error, socket.gaierror) and error.errno in _DEFINITE):
                raise
            return remembered

    def _start(self, host: str) -> asyncio.Future[IpAddresses]:
        loop = asyncio.get_running_loop()
        look_up: asyncio.Future[IpAddresses] = loop.create_future()
        if len(self._under_way) >= MAX_UNDER_WAY:
            self._end(host, look_up, socket.gaierror(socket.EAI_AGAIN, "too many names are being looked up"))
            return look_up

        def work() -> None:
            outcome: IpAddresses | OSError = socket.gaierror(socket.EAI_FAIL, "the look-up broke off")
            try:
                outcome = self._look_up(host)
            except OSError as error:
                outcome = error
            finally:
                # The loop may be closed by now: nobody waits for us.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._end, host, look_up, outcome)

        self._under_way[host] = look_up
        try:
            threading.Thread(target=work, name=f"look-up of {host}", daemon=True).start()
        except RuntimeError:
            self._end(host, look_up, socket.gaierror(socket.EAI_AGAIN, "no thread can be started"))
        return look_up

    def _end(self, host: str, look_up: asyncio.Future[IpAddresses], outcome: IpAddresses | OSError) -> None:
        self._under_way.pop(host, None)
        if isinstance(outcome, OSError):
            look_up.set_exception(outcome)
            look_up.exception()  # looked at, so that asyncio does not complain when nobody waits any more
            return
        self._remembered.pop(host, None)
        self._remembered[host] = outcome
        if len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        look_up.set_result(outcome)


def _literal(host: str) -> IpAddresses:
    """The address that the text is; empty for a name."""
    try:
        return _found(host, socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return ()


def _found(host: str, flags: int) -> IpAddresses:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    # In numbers, which takes no look-up; unlike the first field it has the zone of a link-local address.
    numbers = (socket.getnameinfo(place[-1], socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0] for place in found)
    return tuple(dict.fromkeys(numbers))
