"""One piece of work for all who ask at once."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.vending.singleflight import SingleFlight
from tests.support.virtual_time import virtual


class Work:
    def __init__(self) -> None:
        self.runs = 0

    async def __call__(self) -> int:
        self.runs += 1
        await asyncio.sleep(1)
        return self.runs


@virtual
async def test_a_thousand_callers_share_one_run() -> None:
    flights, work = SingleFlight[str, int](), Work()
    assert set(await asyncio.gather(*(flights.join("k", work) for _ in range(1000)))) == {1}
    assert work.runs == 1


@virtual
async def test_the_first_callers_cancellation_reaches_nobody_else() -> None:
    flights, work = SingleFlight[str, int](), Work()
    first = asyncio.ensure_future(flights.join("k", work))
    second = asyncio.ensure_future(flights.join("k", work))
    await asyncio.sleep(0.5)
    first.cancel()
    assert await second == 1
    assert first.cancelled()


@virtual
async def test_the_work_goes_on_when_every_caller_went_away() -> None:
    flights, work = SingleFlight[str, int](), Work()
    callers = [asyncio.ensure_future(flights.join("k", work)) for _ in range(3)]
    await asyncio.sleep(0.5)
    for caller in callers:
        caller.cancel()
    await asyncio.sleep(0)
    assert flights.running("k")
    await asyncio.sleep(1)
    assert not flights.running("k")


@virtual
async def test_who_comes_after_the_end_starts_anew() -> None:
    flights, work = SingleFlight[str, int](), Work()
    assert await flights.join("k", work) == 1
    assert await flights.join("k", work) == 2


@virtual
async def test_keys_do_not_wait_for_each_other() -> None:
    flights, work = SingleFlight[str, int](), Work()
    await asyncio.gather(flights.join("a", work), flights.join("b", work))
    assert work.runs == 2


@virtual
async def test_everyone_gets_the_failure_and_nobody_repeats_it() -> None:
    runs = 0

    async def fail() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(1)
        raise ValueError("no")

    flights = SingleFlight[str, int]()
    results = await asyncio.gather(*(flights.join("k", fail) for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 5
    assert runs == 1


@virtual
async def test_close_gives_work_its_grace_and_then_cancels_as_often_as_it_takes() -> None:
    cancellations = 0

    async def stubborn() -> int:
        nonlocal cancellations
        for _ in range(2):
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                cancellations += 1
        await asyncio.sleep(100)
        return 0

    flights = SingleFlight[str, int]()
    caller = asyncio.ensure_future(flights.join("k", stubborn))
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await flights.close(grace_s=1, cancel_s=0.9)
    assert asyncio.get_running_loop().time() - began < 2
    assert cancellations == 2
    with pytest.raises(asyncio.CancelledError):
        await caller
