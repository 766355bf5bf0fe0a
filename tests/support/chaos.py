"""Faults of every kind against real processes, in the order of a seed, and a history for when a test fails."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias

from sidecar.core.model import Operation
from sidecar.sandbox.faults import Fault
from tests.support.fault_proxy import FaultProxy
from tests.support.load import Load
from tests.support.processes import Fleet
from tests.support.replica import Replica
from tests.support.way_faults import CUTTING, PASSABLE

QUIET_S = (0.1, 0.6)
LONG_S = (0.2, 1.8)
"""The pause between two faults, and how long one lasts."""
PARTNER_FAULTS = (
    Fault(fault="status", status=500),
    Fault(fault="status", status=429, retry_after="1"),
    Fault(fault="status", status=401, operation=Operation.REFRESH),
    Fault(fault="lost-reply"),
    Fault(fault="truncated"),
    Fault(fault="hang"),
)

Action: TypeAlias = Callable[[random.Random], Awaitable[None]]


class Chaos:
    """The faults of one fleet.

    Each replica reaches Redis through its own proxy in `ways`, and all reach the partner through `partner_way`. Three
    lanes of faults run at once, each on other parts of the fleet, so that faults overlap.
    """

    def __init__(
        self, fleet: Fleet, load: Load, ways: list[FaultProxy], partner_way: FaultProxy, settings: Mapping[str, str]
    ) -> None:
        """`settings` are for replicas that are started again."""
        self._fleet, self._load, self._settings = fleet, load, settings
        self._ways, self._partner_way = ways, partner_way
        self._slots: list[Replica] = list(fleet.replicas)
        self._lanes: tuple[tuple[Action, ...], ...] = (
            (self._kill, self._stop),
            (self._cut_one, self._cut_all, self._spoil_one, self._stop_redis, self._empty_redis),
            (self._cut_partner, self._partner_fault, self._partner_fault, self._report, self._revoke),
        )
        self.history: list[str] = []
        self.kills = 0
        self._began = fleet.now

    async def run(self, seed: int, for_s: float) -> None:
        """Cause faults in the order of the seed. All of them have ended when this returns."""
        await asyncio.gather(
            *(self._drive(actions, random.Random(f"{seed}/{lane}"), for_s) for lane, actions in enumerate(self._lanes))
        )
        self._fleet.sandbox.state.faults.clear()

    async def _drive(self, actions: Sequence[Action], dice: random.Random, for_s: float) -> None:
        while self._fleet.now - self._began < for_s:
            await dice.choice(actions)(dice)
            await asyncio.sleep(dice.uniform(*QUIET_S))

    def _note(self, dice: random.Random, what: str) -> float:
        """Record a fault, and return how long it is to last."""
        lasts_s = dice.uniform(*LONG_S)
        self.history.append(f"{self._fleet.now - self._began:6.2f} s: {what}, {lasts_s:.2f} s")
        return lasts_s

    async def _cut_one(self, dice: random.Random) -> None:
        slot, name = dice.randrange(len(self._ways)), dice.choice(list(CUTTING))
        await self._spoil([self._ways[slot]], CUTTING[name], self._note(dice, f"{name} for replica {slot}"))

    async def _cut_all(self, dice: random.Random) -> None:
        name = dice.choice(list(CUTTING))
        await self._spoil(self._ways, CUTTING[name], self._note(dice, f"{name} for all"))

    async def _spoil_one(self, dice: random.Random) -> None:
        slot, name = dice.randrange(len(self._ways)), dice.choice(list(PASSABLE))
        await self._spoil([self._ways[slot]], PASSABLE[name], self._note(dice, f"{name} for replica {slot}"))

    async def _cut_partner(self, dice: random.Random) -> None:
        name = dice.choice(list(CUTTING))
        await self._spoil([self._partner_way], CUTTING[name], self._note(dice, f"{name} for the partner"))

    async def _spoil(self, ways: list[FaultProxy], begin: Callable[[FaultProxy], None], lasts_s: float) -> None:
        for way in ways:
            begin(way)
        await asyncio.sleep(lasts_s)
        for way in ways:
            await way.heal()

    async def _kill(self, dice: random.Random) -> None:
        slot = dice.randrange(len(self._ways))
        lasts_s = self._note(dice, f"kill replica {slot}")
        self._fleet.replicas.remove(self._slots[slot])
        self._slots[slot].kill()
        self.kills += 1
        await asyncio.sleep(lasts_s)
        self._slots[slot] = self._fleet.launch(STORE=f"redis://127.0.0.1:{self._ways[slot].port}", **self._settings)
        await self._slots[slot].listening()
        self._fleet.replicas.append(self._slots[slot])

    async def _stop(self, dice: random.Random) -> None:
        slot = dice.randrange(len(self._ways))
        lasts_s = self._note(dice, f"stop replica {slot}") * 3
        self._fleet.replicas.remove(self._slots[slot])
        self._slots[slot].signal(signal.SIGSTOP)
        await asyncio.sleep(lasts_s)
        self._slots[slot].signal(signal.SIGCONT)
        self._fleet.replicas.append(self._slots[slot])

    async def _stop_redis(self, dice: random.Random) -> None:
        lasts_s = self._note(dice, "stop Redis")
        self._fleet.redis.pause()
        await asyncio.sleep(lasts_s)
        self._fleet.redis.resume()

    async def _empty_redis(self, dice: random.Random) -> None:
        lasts_s = self._note(dice, "restart Redis empty")
        await asyncio.to_thread(self._fleet.redis.stop)
        await asyncio.sleep(lasts_s)
        await asyncio.to_thread(self._fleet.redis.start)

    async def _partner_fault(self, dice: random.Random) -> None:
        fault = dice.choice(PARTNER_FAULTS)
        self._note(dice, f"partner: {fault.fault} {fault.status if fault.fault == 'status' else ''}")
        self._fleet.sandbox.state.faults.add(fault)

    async def _report(self, dice: random.Random) -> None:
        slot = dice.randrange(len(self._ways))
        self._note(dice, f"report to replica {slot}")
        if self._slots[slot] in self._fleet.replicas:  # not stopped or killed at the moment
            await self._load.report(self._slots[slot])

    async def _revoke(self, dice: random.Random) -> None:
        self._note(dice, "the partner ends all tokens")
        self._fleet.sandbox.state.accounts["pay1st"].revoke()
        await self._report(dice)
