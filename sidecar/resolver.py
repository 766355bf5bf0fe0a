"""Look-ups of host names, each in its own daemon thread.

asyncio looks names up in a shared pool of threads, and the process waits for that pool when it ends (uvloop's is
libuv's: https://docs.libuv.org/en/v1.x/threadpool.html). DNS servers of one zone that do not answer then delay the
look-up of every other name, and the end of the process, for up to 40 s.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from typing import TypeAlias

from sidecar.core.model import Seconds
from sidecar.file_limit import file_limit_error

IpAddresses: TypeAlias = tuple[str, ...]
"""Numeric addresses in the order in which to try them. Link-local ones have their interface (`%eth0`)."""
LookUp: TypeAlias = Callable[[str], IpAddresses]
"""Resolves one host name; blocks. Raises `OSError`."""

MAX_UNDER_WAY = 64
"""Look-ups at once, one thread each. Limited because a server may announce any number of names."""
MAX_REMEMBERED = 256
THREAD_NAME = "look-up"
"""The same for all: a host name may contain characters that a thread's name cannot."""
_DEFINITE = (socket.EAI_NONAME, getattr(socket, "EAI_NODATA", socket.EAI_NONAME))  # not every system has both
"""DNS replied that there is no such name, or that it has no address."""


def system_look_up(host: str) -> IpAddresses:
    """Resolve as the system does. Raises `OSError`.

    When no more files may be opened, the system reports that there is no such name. Then the raised error is the limit
    of open files.
    """
    try:
        return _look_up_name(host)
    except socket.gaierror:
        if (limit := file_limit_error()) is not None:
            raise limit from None
        raise


def _look_up_name(host: str) -> IpAddresses:
    try:
        return _found(host, socket.AI_ADDRCONFIG)
    except ValueError:
        raise socket.gaierror(socket.EAI_NONAME, "no name can look like this") from None
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise
        # The flag halves the queries of a machine without IPv6, but it also hides ::1 there.
        return _found(host, 0)


class Resolver:
    """Resolves host names, with at most one look-up of a name at a time. Stores the last result of each name."""

    def __init__(self, fallback_after_s: Seconds, look_up: LookUp = system_look_up) -> None:
        """When a look-up takes longer than `fallback_after_s`, the stored result is returned, if there is one."""
        self._fallback_after_s = fallback_after_s
        self._look_up = look_up
        self._under_way: dict[str, asyncio.Future[IpAddresses]] = {}
        self._remembered: dict[str, IpAddresses] = {}

    async def resolve(self, host: str) -> IpAddresses:
        """Return the host's addresses; the stored ones while DNS does not answer.

        Without a stored result, wait as long as the look-up takes. Cancelling this does not end the look-up.
        Raises `OSError`; `socket.gaierror` also when DNS replies that a name found before no longer exists.
        """
        if literal := _literal(host):
            return literal
        look_up = self._under_way.get(host) or self._start(host)
        remembered = self._remembered.get(host, ())
        await asyncio.wait((look_up,), timeout=self._fallback_after_s if remembered else None)
        if not look_up.done():
            return remembered
        try:
            return look_up.result()
        except OSError as error:
            # As in RFC 8767: the stored result stays valid after a failed look-up, but not after "no such name".
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
            outcome: IpAddresses | OSError = socket.gaierror(socket.EAI_FAIL, "the look-up failed")
            try:
                outcome = self._look_up(host)
            except OSError as error:
                outcome = error
            finally:
                # RuntimeError: the loop is closed, so nothing waits for the result.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(self._end, host, look_up, outcome)

        self._under_way[host] = look_up
        try:
            threading.Thread(target=work, name=THREAD_NAME, daemon=True).start()
        except RuntimeError:
            self._end(host, look_up, socket.gaierror(socket.EAI_AGAIN, "no thread can be started"))
        return look_up

    def _end(self, host: str, look_up: asyncio.Future[IpAddresses], outcome: IpAddresses | OSError) -> None:
        self._under_way.pop(host, None)
        if isinstance(outcome, OSError):
            look_up.set_exception(outcome)
            look_up.exception()  # marks it as retrieved: asyncio logs those that are not
            return
        self._remembered.pop(host, None)
        self._remembered[host] = outcome
        if len(self._remembered) > MAX_REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        look_up.set_result(outcome)


def _literal(host: str) -> IpAddresses:
    """Return the address if the host is one; empty for a name."""
    try:
        return _found(host, socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return ()


def _found(host: str, flags: int) -> IpAddresses:
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=flags)
    # Makes no look-up. Unlike the first field of the address, it includes the interface of a link-local address.
    numbers = (socket.getnameinfo(place[-1], socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0] for place in found)
    return tuple(dict.fromkeys(numbers))
