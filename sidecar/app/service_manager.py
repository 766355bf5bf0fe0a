"""What systemd, or another service manager that sets `NOTIFY_SOCKET`, is told: sd_notify(3), sd_watchdog_enabled(3)."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from sidecar.core.model import Seconds
from sidecar.core.ports import Clock

FIRST_LOOK_S: Seconds = 0.1
"""How often the service is looked at until it is ready; then every `LOOK_S`. At least twice a watchdog interval."""
LOOK_S: Seconds = 1
SLACK_S: Seconds = 10
"""Added to what a start or a drain may take, before the manager may lose its patience."""
MAX_STATUS_CHARACTERS = 400
MAX_ADDRESS_BYTES = 107
"""unix(7)."""


@dataclass(frozen=True, slots=True)
class Health:
    """`started` as `/startupz` tells it, `alive` as `/livez`; `words` for people, in one line."""

    started: bool
    alive: bool
    words: str


class ServiceManager:
    """Tells each thing once it is true, and again at the next look where it could not be sent.

    Nothing here waits: a manager that does not read is told less. Without `NOTIFY_SOCKET` there is nobody to tell.
    """

    def __init__(self, environ: Mapping[str, str], clock: Clock, warn: Callable[[str], None]) -> None:
        """Never raises: variables that cannot be used are a warning once `run` is called."""
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
        """Look at the service until cancelled. It is ready within `start_limit_s`."""
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
        """SIGHUP came, and what it asks for was begun. Units of `Type=notify-reload` wait for both messages."""
        if self._ready and not self._stopping:
            self._send("RELOADING=1", f"MONOTONIC_USEC={int(self._clock.monotonic() * 1e6)}")
            # If it cannot be sent now, the next look does it.
            self._ready = self._send("READY=1")

    def stopping(self, drain_s: Seconds) -> None:
        """The service drains for `drain_s`, and ends."""
        self._stopping = True
        words = f"Stopping: tokens are vended for up to {drain_s:g} s more"
        self._send("STOPPING=1", f"STATUS={words}", _extension(drain_s))

    def _tell(self, health: Health) -> None:
        news = ["READY=1"] if health.started and not self._ready else []
        words = health.words[:MAX_STATUS_CHARACTERS]
        if words != self._words and not self._stopping:
            news.append(f"STATUS={words}")
        # Sent by the event loop alone, so that one that stands still is noticed.
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
        """Warn once. A queue that is full is no fault: what is in it will be read, or was not wanted."""
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
        """The socket's address; empty where there is none."""
        address = environ.get("NOTIFY_SOCKET", "")
        if not address:
            return ""
        if address[0] not in "/@" or len(os.fsencode(address)) > MAX_ADDRESS_BYTES or len(address) == 1:
            self._warnings.append("NOTIFY_SOCKET names no unix socket: the service manager is told nothing")
            return ""
        return f"\0{address[1:]}" if address[0] == "@" else address

    def _watchdog_in(self, environ: Mapping[str, str]) -> Seconds | None:
        """How often the manager wants to hear of this process; None where it does not."""
        text, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
        if not text or (pid and pid != str(os.getpid())):
            return None
        if not (text.isascii() and text.isdigit()) or not 0 < int(text) < 2**64:
            self._warnings.append("WATCHDOG_USEC is no number of microseconds: the watchdog is told nothing")
            return None
        return int(text) / 1e6


def words_of(vended: Iterable[str], missing: Iterable[tuple[str, str]]) -> str:
    """The status line: profiles with a token, and those without one with the reason."""
    with_token = ", ".join(vended)
    without = ", ".join(f"{profile} ({reason})" for profile, reason in missing)
    parts = [f"Vending tokens: {with_token}"] if with_token else []
    return ". ".join([*parts, *([f"No token: {without}"] if without else [])])


def _extension(needed_s: Seconds) -> str:
    """Asks for the time that is needed, where the unit's own limits are shorter."""
    return f"EXTEND_TIMEOUT_USEC={int((needed_s + SLACK_S) * 1e6)}"
