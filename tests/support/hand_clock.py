"""A clock that only tests move."""

from __future__ import annotations

import asyncio


class HandClock:
    """The `Clock` port for tests on real sockets: only sleeps and the test move it.

    `slept` is set after the first sleep.
    """

    def __init__(self, wall_at: float = 1_767_225_600.0) -> None:
        self.now = 1_000.0
        self._wall_at = wall_at - self.now
        self._ids = 0
        self.slept = asyncio.Event()

    def monotonic(self) -> float:
        return self.now

    def wall(self) -> float:
        return self._wall_at + self.now

    async def sleep(self, delay_s: float) -> None:
        self.now += delay_s
        self.slept.set()
        await asyncio.sleep(0)

    def jitter(self) -> float:
        return 0.5

    def new_id(self) -> str:
        self._ids += 1
        return f"{self._ids:016x}"
