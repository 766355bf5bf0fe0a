"""The loop of virtual time: it runs callbacks in the order of asyncio's own loops, without waiting."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest

from tests.support.virtual_loop import VirtualLoop, running_loop
from tests.support.virtual_time import virtual

DAY_S = 86_400


class PlainLoop(asyncio.BaseEventLoop):
    """Asyncio's own loop, with a selector that moves the time instead of waiting."""

    def __init__(self) -> None:
        super().__init__()
        self._selector = self
        self._ticks = 0

    def time(self) -> float:
        return self._ticks / 1_000_000

    def select(self, timeout: float) -> list[Any]:
        self._ticks += round(timeout * 1_000_000) + (0 < timeout < 1e-6)
        return []

    def _process_events(self, events: list[Any]) -> None: ...


def history_of(loop: asyncio.BaseEventLoop, seed: int) -> list[tuple[float, int]]:
    """Return the history of random callbacks on this loop, which start and cancel each other."""
    rng, history, handles = random.Random(seed), list[tuple[float, int]](), list[asyncio.Handle]()

    def step(number: int) -> None:
        history.append((loop.time(), number))
        for _ in range(rng.randrange(4) if len(handles) < 2000 else 0):
            # Many at the same moment, and enough cancelled ones for asyncio to remove them from its heap.
            delay_s = rng.choice([0, 0.01, 0.01, rng.random(), 50])
            start = (
                loop.call_later(delay_s, step, len(handles))
                if rng.random() < 0.7
                else loop.call_soon(step, len(handles))
            )
            handles.append(start)
            if rng.random() < 0.5:
                rng.choice(handles).cancel()

    for number in range(20):
        loop.call_soon(step, -number)
    loop.call_at(200, loop.stop)
    loop.run_forever()
    loop.close()
    return history


def test_callbacks_run_in_the_order_of_asyncio() -> None:
    lengths = []
    for seed in range(30):
        ours, theirs = history_of(VirtualLoop(), seed), history_of(PlainLoop(), seed)
        assert ours == theirs
        lengths.append(len(ours))
    assert max(lengths) > 500


@virtual
async def test_a_day_passes_at_once() -> None:
    await asyncio.sleep(DAY_S)
    assert asyncio.get_running_loop().time() == DAY_S


@virtual
async def test_the_smallest_delay_advances_the_time() -> None:
    await asyncio.sleep(1e-7)
    assert 0 < running_loop().now_s < 1e-5


@virtual
async def test_a_time_limit_ends_an_endless_program() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(7):
            await asyncio.Event().wait()
    assert running_loop().now_s == 7


def test_a_loop_with_nothing_to_wait_for_raises() -> None:
    async def wait_in_vain() -> None:
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=VirtualLoop) as runner, pytest.raises(RuntimeError, match="nothing can ever"):
        runner.run(wait_in_vain())


@virtual
async def test_a_failing_callback_is_reported_and_stops_no_other() -> None:
    loop, reports, ran = running_loop(), list[dict[str, Any]](), list[int]()
    loop.set_exception_handler(lambda _, report: reports.append(report))
    loop.call_soon(lambda: 1 / 0)
    loop.call_soon(ran.append, 1)
    await asyncio.sleep(1)
    assert ran == [1]
    assert isinstance(reports[0]["exception"], ZeroDivisionError)


@virtual
async def test_cancelled_callbacks_are_not_kept() -> None:
    loop = running_loop()
    for _ in range(10_000):
        loop.call_later(DAY_S, print).cancel()
        await asyncio.sleep(0)
    assert loop.timers() == []
    assert len(loop._timers) < 300
