"""An event loop whose time moves only when there is nothing left to do, and then at once to the next timer."""

from __future__ import annotations

import asyncio
import functools
import random
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec

import looptime

P = ParamSpec("P")


class VirtualLoop(looptime.LoopTimeEventLoop, asyncio.SelectorEventLoop):
    """`asyncio.sleep`, `asyncio.timeout` and `call_later` all run on virtual seconds since the loop was made."""

    def __init__(self) -> None:
        # Nothing here ever waits for a socket: no idle looks at them, and an end at once where nothing can ever happen.
        super().__init__(start=0, noop_cycles=0, idle_step=0.001, idle_timeout=0.001)


def virtual(test: Callable[P, Coroutine[Any, Any, None]]) -> Callable[P, None]:
    """Run an async test on a virtual loop."""

    @functools.wraps(test)
    def run(*args: P.args, **kwargs: P.kwargs) -> None:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(test(*args, **kwargs))

    return run


class VirtualClock:
    """The `Clock` port on the running loop. `wall_step_s` moves the wall clock only."""

    def __init__(self, seed: int = 0, wall_at: float = 1_767_225_600.0) -> None:
        self._random = random.Random(seed)
        self._wall_at = wall_at
        self.wall_step_s = 0.0

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def wall(self) -> float:
        return self._wall_at + self.monotonic() + self.wall_step_s

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)

    def jitter(self) -> float:
        return self._random.random()

    def new_id(self) -> str:
        return f"{self._random.getrandbits(64):016x}"
