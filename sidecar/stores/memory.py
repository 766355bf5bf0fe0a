"""The shared state in one process's memory: for development, for one replica, and for whole fleets under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from sidecar.core.model import Profile
from sidecar.core.ports import Clock, SharedState
from sidecar.stores.engine import DecisionEngine, DeskState, ProfileRecord

T = TypeVar("T")


class MemoryStore:
    """A store for replicas that share one object of this class. It needs no lock: nothing here ever awaits."""

    kind = "memory"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The wall clock is read once: a jump would change the length of every lease and pause.
        self._started_at = clock.wall()
        self._started = clock.monotonic()
        self._cells: dict[str, ProfileRecord] = {}

    def shared_state(self, profile: Profile) -> SharedState:
        async def visit(_operation: str, work: Callable[[DecisionEngine], T]) -> T:
            cell = self._cells.setdefault(profile.profile_id, ProfileRecord())
            return work(DecisionEngine(cell, profile, self._now_ms(), self._clock.new_id))

        return DeskState(visit)

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def _now_ms(self) -> int:
        return round((self._started_at + self._clock.monotonic() - self._started) * 1000)
