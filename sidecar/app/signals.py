"""Handles SIGTERM, SIGINT and SIGHUP in a process that serves, from its first instruction to its last.

The handlers are Python's own and stay for the life of the process; only the functions that they call change. Handlers
of an event loop are installed too late: without a handler SIGTERM and SIGHUP end a process, and process 1 of a
container ignores them (pid_namespaces(7)). This module imports little, so that it loads early.
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
    """The functions that signals call now. Before `delivered`, a stop ends the process and SIGHUP is stored."""

    def __init__(self) -> None:
        self.hung_up = False
        self.stop: Callable[[], object] = _end
        self.hang_up: Callable[[], object] = self._keep

    def _keep(self) -> None:
        self.hung_up = True


def install() -> None:
    """Install the handlers: SIGTERM and SIGINT end the process with exit code 0, and SIGHUP does not end it."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _received)


@contextmanager
def delivered(loop: asyncio.AbstractEventLoop, stop: Callable[[], None], hang_up: Callable[[], None]) -> Iterator[None]:
    """Call `stop` for SIGTERM and SIGINT and `hang_up` for SIGHUP on the running loop; an earlier SIGHUP counts too.

    After the `with` block signals do nothing: the process is about to end.
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
    # Not an exception: a library or a destructor may swallow one. No work was begun that a later start depends on.
    os._exit(0)


def _nothing() -> None:
    pass


_receivers = _Receivers()
