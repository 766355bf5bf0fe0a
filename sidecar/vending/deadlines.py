"""How long callers wait, and a way to end all waits at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.core.model import Seconds


class WaiterDeadlines:
    """Time limits of all waiting callers. A stopping process calls `end`, so that each caller still gets an answer."""

    def __init__(self) -> None:
        self._limits: set[asyncio.Timeout] = set()
        self.ended = False

    @asynccontextmanager
    async def within(self, wait_s: Seconds) -> AsyncIterator[None]:
        """Raises `TimeoutError` when `wait_s` is over or all waits were ended, also before this began."""
        async with asyncio.timeout(0 if self.ended else wait_s) as limit:
            self._limits.add(limit)
            try:
                yield
            finally:
                self._limits.discard(limit)

    def end(self) -> None:
        self.ended = True
        now = asyncio.get_running_loop().time()
        for limit in self._limits:
            if not limit.expired():
                limit.reschedule(now)
