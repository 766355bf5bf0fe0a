"""The partner of a measured sidecar: the sandbox, in a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sidecar.core.model import Budget, Secret
from sidecar.sandbox import Sandbox, SandboxConfig
from tests.support.processes import HeldClock

KEY, SECRET = "bench-key", "bench-secret"
CONFIG = SandboxConfig(api_key=Secret(KEY), api_secret=Secret(SECRET), limit=Budget(1000, 1))


class Partner:
    """Runs between `start` and `stop`. While it is held, it delays its answers."""

    def __init__(self, latency_s: float = 0) -> None:
        self._clock = HeldClock()
        self._sandbox = Sandbox(replace(CONFIG, latency_s=latency_s), self._clock)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self.url = ""

    def start(self) -> None:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._sandbox.start(), self._loop).result()

    def stop(self) -> None:
        asyncio.run_coroutine_threadsafe(self._sandbox.stop(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def calls(self) -> int:
        """The number of token calls that it has answered."""
        return len(self._sandbox.state.journal.calls)

    def arrived(self, path: str) -> int:
        """Return how many requests to `path` have arrived with their whole bodies."""
        arrivals = list(self._sandbox.state.journal.arrivals)
        return sum(arrival.whole for arrival in arrivals if arrival.path == path)

    def hold(self) -> None:
        self._loop.call_soon_threadsafe(self._clock.free.clear)

    def let_go(self) -> None:
        self._loop.call_soon_threadsafe(self._clock.free.set)


@contextmanager
def partner(latency_s: float = 0) -> Iterator[Partner]:
    running = Partner(latency_s)
    running.start()
    try:
        yield running
    finally:
        running.let_go()
        running.stop()
