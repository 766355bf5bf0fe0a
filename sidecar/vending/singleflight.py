"""Lets callers in one process share one piece of work. Independent of tokens.

How long callers wait, and a way to end all waits at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from sidecar.core.model import Seconds

K = TypeVar("K", bound=Hashable)
T = TypeVar("T")


class SingleFlight(Generic[K, T]):
    """Runs at most one piece of work per key. Callers that join it get its result.

    The cancellation of a caller, the first one included, affects neither the work nor the other callers.
    """

    def __init__(self) -> None:
        # Written by `join` and the tasks' own callbacks only, all on the event loop.
        self._tasks: dict[K, asyncio.Task[T]] = {}

    def running(self, key: K) -> bool:
        return key in self._tasks

    async def join(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        """Return the result of the running work, or of `work`, started now. Raises what the work raises."""
        task = self._tasks.get(key)
        if task is None:
            task = asyncio.ensure_future(self._run(key, work))
            self._tasks[key] = task
            task.add_done_callback(_consume)
        # Without the shield the first caller's cancellation would cancel the work for all waiting callers.
        return await asyncio.shield(task)

    async def _run(self, key: K, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await work()
        finally:
            # Here, not in a callback: when a caller wakes up with the result, the next work can already start.
            del self._tasks[key]

    async def close(self, grace_s: float, cancel_s: float) -> None:
        """Let running work end within `grace_s`, then cancel it; returns after `cancel_s` more at the latest."""
        tasks = set(self._tasks.values())
        if not tasks:
            return
        _, pending = await asyncio.wait(tasks, timeout=grace_s)
        for _ in range(3):
            if not pending:
                return
            for task in pending:
                # More than once: a library underneath may swallow one cancellation (redis-py on Python 3.11 does).
                task.cancel()
            _, pending = await asyncio.wait(pending, timeout=cancel_s / 3)


def _consume(task: asyncio.Task[T]) -> None:
    # Every caller may be cancelled. Then no task reads the failure. It must not be reported as "never retrieved".
    if not task.cancelled():
        task.exception()


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
