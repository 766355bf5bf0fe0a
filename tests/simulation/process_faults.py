"""Processes killed and stopped, also at the worst moments: between two certain steps, and around a partner call."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from tests.simulation.plan import Fault
from tests.simulation.replica import Replica
from tests.simulation.world import World

STEPS_OF_A_CALL = 12


class ProcessFaults:
    """`last` keeps the rest of a fault until the calm; `some_time_s` returns how long one lasts."""

    def __init__(
        self, world: World, last: Callable[[Coroutine[Any, Any, None]], None], some_time_s: Callable[[], float]
    ) -> None:
        self._world = world
        self._last = last
        self._some_time_s = some_time_s

    def at(self, replica: Replica, fault: Fault, lasts_s: float | None = None) -> None:
        """Stop or kill at once, between two steps of the process, without notice to the other processes."""
        if replica.name not in self._world.replicas or replica.process.stopped:
            return
        lasts_s = self._some_time_s() if lasts_s is None else lasts_s
        if fault is Fault.KILL:
            self._world.note(replica.name, "is killed")
            self._world.kill(replica)
            self._last(self._start_another(lasts_s / 4))
        else:
            self._world.note(replica.name, "is stopped")
            replica.process.stop()
            self._last(self._resume(replica, lasts_s))

    def before_step(self, replica: Replica, fault: Fault, step: int, lasts_s: float | None = None) -> None:
        """Stop or kill once the process has taken `step` steps."""

        def look() -> None:
            if replica.process.steps > step:
                replica.process.before_step = None
                self.at(replica, fault, lasts_s)

        replica.process.before_step = look

    def at_the_caller(self, caller: Replica, faults: Sequence[Fault]) -> None:
        """Stop or kill the calling process often, a few steps or a short time after its call's first byte."""
        rng = self._world.rng
        if rng.random() < 0.3:
            return
        fault = rng.choice(faults)
        if rng.random() < 0.5:
            self.before_step(caller, fault, caller.process.steps + rng.randrange(STEPS_OF_A_CALL))
        else:
            self._last(self._after_a_while(caller, fault))

    async def _after_a_while(self, replica: Replica, fault: Fault) -> None:
        await asyncio.sleep(self._world.rng.random() * 2)
        self.at(replica, fault)

    async def _start_another(self, after_s: float) -> None:
        try:
            await asyncio.sleep(after_s)
        finally:
            self._world.start()

    async def _resume(self, replica: Replica, after_s: float) -> None:
        stopped_at = self._world.now()
        try:
            await asyncio.sleep(after_s)
        finally:
            self._world.goes_on(replica, self._world.now() - stopped_at)
