"""The faults of a storm, and their end."""

from __future__ import annotations

import asyncio

from tests.simulation.fault_injector import FaultInjector
from tests.simulation.plan import Fault, plan_of
from tests.simulation.process import ProcessLoop
from tests.simulation.world import World

FAULTS = 12


def test_faults_that_last_until_the_calm_end_in_the_order_in_which_they_began() -> None:
    """So a seed has the same history in every process, whatever the addresses of its tasks in memory."""
    ended: list[int] = []

    async def fault(number: int) -> None:
        try:
            await asyncio.sleep(1000)
        finally:
            ended.append(number)

    async def storm() -> None:
        injector = FaultInjector(World(plan_of(0)))
        for number in range(FAULTS):
            injector._last(fault(number))
        await asyncio.sleep(1)
        await injector._calm()

    with asyncio.Runner(loop_factory=ProcessLoop) as runner:
        runner.run(storm())
    assert ended == list(range(FAULTS))


def test_a_process_that_is_resumed_at_the_calm_gets_no_fault_at_its_next_step() -> None:
    """Nothing would end that fault."""

    async def storm() -> bool:
        world = World(plan_of(0))
        injector, replica = FaultInjector(world), world.start()
        injector._process_faults.at(replica, Fault.PAUSE, 1000)
        injector._process_faults.before_step(replica, Fault.PAUSE, 0, 1000)
        await asyncio.sleep(1)
        assert replica.process.stopped
        await injector._calm()
        await asyncio.sleep(10)
        return replica.process.stopped

    with asyncio.Runner(loop_factory=ProcessLoop) as runner:
        assert not runner.run(storm())
