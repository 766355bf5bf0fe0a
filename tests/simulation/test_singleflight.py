"""One run of work for all concurrent callers."""

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
    single_flight, work = SingleFlight[str, int](), Work()
    assert set(await asyncio.gather(*(single_flight.join("k", work) for _ in range(1000)))) == {1}
    assert work.runs == 1


@virtual
async def test_the_first_callers_cancellation_affects_no_other_caller() -> None:
    single_flight, work = SingleFlight[str, int](), Work()
    first = asyncio.ensure_future(single_flight.join("k", work))
    second = asyncio.ensure_future(single_flight.join("k", work))
    await asyncio.sleep(0.5)
    first.cancel()
    assert await second == 1
    assert first.cancelled()


@virtual
async def test_the_work_goes_on_after_every_caller_was_cancelled() -> None:
    single_flight, work = SingleFlight[str, int](), Work()
    callers = [asyncio.ensure_future(single_flight.join("k", work)) for _ in range(3)]
    await asyncio.sleep(0.5)
    for caller in callers:
        caller.cancel()
    await asyncio.sleep(0)
    assert single_flight.running("k")
    await asyncio.sleep(1)
    assert not single_flight.running("k")


@virtual
async def test_a_caller_after_the_end_starts_a_new_run() -> None:
    single_flight, work = SingleFlight[str, int](), Work()
    assert await single_flight.join("k", work) == 1
    assert await single_flight.join("k", work) == 2


@virtual
async def test_keys_do_not_wait_for_each_other() -> None:
    single_flight, work = SingleFlight[str, int](), Work()
    await asyncio.gather(single_flight.join("a", work), single_flight.join("b", work))
    assert work.runs == 2


@virtual
async def test_all_callers_get_the_failure_and_none_repeats_the_work() -> None:
    runs = 0

    async def fail() -> int:
        nonlocal runs
        runs += 1
        await asyncio.sleep(1)
        raise ValueError("no")

    single_flight = SingleFlight[str, int]()
    results = await asyncio.gather(*(single_flight.join("k", fail) for _ in range(5)), return_exceptions=True)
    assert [type(result) for result in results] == [ValueError] * 5
    assert runs == 1


@virtual
async def test_close_waits_for_the_grace_period_and_then_cancels_repeatedly() -> None:
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

    single_flight = SingleFlight[str, int]()
    caller = asyncio.ensure_future(single_flight.join("k", stubborn))
    await asyncio.sleep(0)
    began = asyncio.get_running_loop().time()
    await single_flight.close(grace_s=1, cancel_s=0.9)
    assert asyncio.get_running_loop().time() - began < 2
    assert cancellations == 2
    with pytest.raises(asyncio.CancelledError):
        await caller
