"""Tests and clocks on virtual time."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

from tests.support.virtual_loop import VirtualLoop, running_loop

P = ParamSpec("P")


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a virtual loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


class VirtualClock:
    """The `Clock` port on the loop it is made on. `wall_step_s` moves the wall clock only."""

    def __init__(self, seed: int = 0, wall_at: float = 1_767_225_600.0) -> None:
        self.loop = running_loop()
        self._random = random.Random(seed)
        self._wall_at = wall_at
        self.wall_step_s = 0.0

    def monotonic(self) -> float:
        return self.loop.now_s

    def wall(self) -> float:
        return self._wall_at + self.monotonic() + self.wall_step_s

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)

    def jitter(self) -> float:
        return self._random.random()

    def new_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"
