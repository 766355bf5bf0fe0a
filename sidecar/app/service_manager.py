"""Notifies systemd, or another service manager that sets `NOTIFY_SOCKET`: sd_notify(3), sd_watchdog_enabled(3)."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sidecar.core.model import Seconds
from sidecar.core.ports import Clock

FIRST_LOOK_S: Seconds = 0.1
"""The interval of health checks until the service is ready; then `LOOK_S`. At least two in a watchdog interval."""
LOOK_S: Seconds = 1
SLACK_S: Seconds = 10
"""Added to the time limit of a start or a drain, before the service manager's own timeout may end it."""
MAX_STATUS_CHARACTERS = 400
MAX_ADDRESS_BYTES = 107
"""The limit of a socket's address, see unix(7)."""


@dataclass(frozen=True, slots=True)
class Health:
    """`started` as `/startupz` reports it, `alive` as `/livez` does; `words` is a status line for people."""

    started: bool
    alive: bool
    words: str


class ServiceManager:
    """Sends each notification once its fact is true, and again at the next check when it could not be sent.

    Sending never waits: a manager that does not read gets fewer notifications. Without `NOTIFY_SOCKET` none are sent.
    """

    def __init__(self, environ: Mapping[str, str], clock: Clock, warn: Callable[[str], None]) -> None:
        """Read the variables. Never raises: `run` warns of those that cannot be used."""
        self._clock = clock
        self._warn = warn
        self._warnings: list[str] = []
        self._address = self._address_in(environ)
        self._watchdog_s = self._watchdog_in(environ) if self._address else None
        self._socket: socket.socket | None = None
        self._ready = False
        self._stopping = False
        self._failed_before = False
        self._words = ""

    async def run(self, health: Callable[[], Health], start_limit_s: Seconds) -> None:
        """Check the service and notify until cancelled. The service is ready within `start_limit_s`."""
        for warning in self._warnings:
            self._warn(warning)
        if not self._address:
            return
        try:
            self._send(_extension(start_limit_s))
            while True:
                self._tell(health())
                await self._clock.sleep(self._look_s())
        finally:
            self._close()

    def reloading(self) -> None:
        """Notify that SIGHUP has started a reload. Units of `Type=notify-reload` wait for both messages."""
        if self._ready and not self._stopping:
            self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")
            # If it cannot be sent now, the next check sends it.
            self._ready = self._send("READY=1")

    def stopping(self, drain_s: Seconds) -> None:
        """Notify that the service drains for `drain_s` and then ends."""
        self._stopping = True
        words = f"Stopping: tokens are vended for up to {drain_s:g} s more"
        self._send("STOPPING=1", f"STATUS={words}", _extension(drain_s))

    def _tell(self, health: Health) -> None:
        news = ["READY=1"] if health.started and not self._ready else []
        words = health.words[:MAX_STATUS_CHARACTERS]
        if words != self._words and not self._stopping:
            news.append(f"STATUS={words}")
        # Sent by the event loop itself, so that the watchdog detects a blocked loop.
        if self._watchdog_s is not None and health.alive:
            news.append("WATCHDOG=1")
        if news and self._send(*news):
            self._ready = self._ready or health.started
            self._words = words

    def _look_s(self) -> Seconds:
        look_s = LOOK_S if self._ready else FIRST_LOOK_S
        return look_s if self._watchdog_s is None else min(look_s, self._watchdog_s / 2)

    def _send(self, *lines: str) -> bool:
        if not self._address:
            return False
        try:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            self._failed(error)
            return False
        return True

    def _failed(self, error: OSError) -> None:
        """Warn once. A full queue is no fault: the manager will read its messages or does not want them."""
        if error.errno in (errno.EAGAIN, errno.ENOBUFS) or self._failed_before:
            return
        self._failed_before = True
        cause = errno.errorcode.get(error.errno or 0, type(error).__name__)
        self._warn(f"NOTIFY_SOCKET cannot be written to ({cause}): the service manager is told nothing until it can")

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _address_in(self, environ: Mapping[str, str]) -> str:
        """Return the socket's address; empty when there is none."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address:
            return ""
        if address[0] not in "/@" or len(os.fsencode(address)) > MAX_ADDRESS_BYTES or len(address) == 1:
            self._warnings.append("NOTIFY_SOCKET names no unix socket: the service manager is told nothing")
            return ""
        return f"\0{address[1:]}" if address[0] == "@" else address

    def _watchdog_in(self, environ: Mapping[str, str]) -> Seconds | None:
        """Return the watchdog interval for this process in seconds; None when there is no watchdog."""
        text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        if not text or (pid and pid != str(os.getpid())):
            return None
        if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 2**64:
            self._warnings.append("WATCHDOG_USEC is no number of microseconds: the watchdog is told nothing")
            return None
        return int(text) / 1e6


def words_of(vended: Iterable[str], missing: Iterable[tuple[str, str]]) -> str:
    """Return the status line: the profiles with a token, then those without one, each with the reason."""
    with_token = ", ".join(vended)
    without = ", ".join(f"{profile} ({reason})" for profile, reason in missing)
    parts = [f"Vending tokens: {with_token}"] if with_token else []
    return ". ".join([*parts, *([f"No token: {without}"] if without else [])])


def _extension(needed_s: Seconds) -> str:
    """Return the message that extends the unit's own time limit, if that is shorter."""
    return f"EXTEND_TIMEOUT_USEC={int((needed_s + SLACK_S) * 1e6)}"
