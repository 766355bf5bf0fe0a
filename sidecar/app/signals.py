"""What SIGTERM, SIGINT and SIGHUP do to a process that serves, from its first instruction to its last.

The handlers are Python's own and stay for the life of the process; only what they call changes. Those of an event loop
come too late: without a handler SIGTERM and SIGHUP end a process, and process 1 of a container ignores them
(pid_namespaces(7)). This module imports little, so that it is there soon.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from types import FrameType


class _Receivers:
    """What the signals call now. Until somebody waits for them, a stop ends the process and SIGHUP is kept."""

    def __init__(self) -> None:
        self.hung_up = False
        self.stop: Callable[[], object] = _end
        self.hang_up: Callable[[], object] = self._keep

    def _keep(self) -> None:
        self.hung_up = True


def install() -> None:
    """From now on SIGTERM and SIGINT end the process with 0, and SIGHUP does not end it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _received)


@contextmanager
def delivered(loop: asyncio.AbstractEventLoop, stop: Callable[[], None], hang_up: Callable[[], None]) -> Iterator[None]:
    """Call `stop` for SIGTERM and SIGINT and `hang_up` for SIGHUP on the running loop; a SIGHUP of before counts.

    Afterwards they do nothing: the process is about to end.
    """
    install()
    _receivers.stop = lambda: loop.call_soon_threadsafe(stop)
    _receivers.hang_up = lambda: loop.call_soon_threadsafe(hang_up)
    if _receivers.hung_up:
        loop.call_soon(hang_up)
    try:
        yield
    finally:
        _receivers.stop = _receivers.hang_up = _nothing


def _received(number: int, _frame: FrameType | None) -> None:
    (_receivers.hang_up if number == signal.SIGHUP else _receivers.stop)()


def _end() -> None:
    # Not an exception, which a library or a destructor may swallow. Nothing was begun that a later start would miss.
    os._exit(0)


def _nothing() -> None:
    pass


_receivers = _Receivers()
