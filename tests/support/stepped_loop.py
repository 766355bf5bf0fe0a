"""An event loop whose time a test moves on: a time limit passes exactly when the test says so."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any


class SteppedLoop(asyncio.SelectorEventLoop):
    """Its time is the real one, and what a test adds."""

    added_s = 0.0

    def time(self) -> float:
        return super().time() + self.added_s


def run(test: Coroutine[Any, Any, None]) -> None:
    """Run a test on a loop of its own, which must end without an error that nobody saw."""
    unseen: list[dict[str, Any]] = []
    with asyncio.Runner(loop_factory=SteppedLoop) as runner:
        runner.get_loop().set_exception_handler(lambda _, context: unseen.append(context))
        runner.run(test)
        gc.collect()
    assert unseen == []


def pass_time(seconds: float) -> None:
    """Let this time pass at once."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    loop.added_s += seconds
