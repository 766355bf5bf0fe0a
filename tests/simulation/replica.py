"""One simulated replica: a process with clocks of its own, and for each profile the real broker and refresher."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from sidecar.core.events import Event, InternalFailure
from sidecar.core.model import Credentials, Secret
from sidecar.vending.assembly import Assembly
from sidecar.vending.broker import Broker
from sidecar.vending.refresher import Beat
from tests.simulation.network import Line, Path
from tests.simulation.process import Process
from tests.support.fleet import FileCredentials
from tests.support.virtual_time import VirtualClock

CANARY = "canary"
"""Part of each secret: no event may contain it."""


class ReplicaClock(VirtualClock):
    """Clocks that differ between machines: monotonic times of one cannot be compared with those of another."""

    def __init__(self, rng: random.Random) -> None:
        super().__init__(seed=rng.getrandbits(32))
        self._offset_s = rng.uniform(0, 1e6)
        self.wall_step_s = rng.uniform(-100, 100)

    def monotonic(self) -> float:
        return self.loop.now_s + self._offset_s


class EventWatch:
    """An `EventSink` that reports secrets in events, and unexpected errors, as violations."""

    def __init__(self, violated: Callable[[str], None]) -> None:
        self._violated = violated

    def emit(self, event: Event) -> None:
        if isinstance(event, InternalFailure):
            self._violated(f"a bug: {event.trace}")
        if CANARY in repr(event):
            self._violated(f"a secret in {type(event).__name__}")


@dataclass(slots=True)
class Place:
    """One profile in one replica."""

    parts: Assembly
    line: Line
    files: FileCredentials

    @property
    def broker(self) -> Broker:
        return self.parts.broker


@dataclass
class Replica:
    name: str
    process: Process
    path: Path
    clock: ReplicaClock
    places: dict[str, Place] = field(default_factory=dict)
    beat: Beat = field(init=False)
    side: int = 0
    """Which of two masters it reaches."""
    bad_way_at: float = 0
    """When its way to the store was last not good, or the process was stopped."""

    def __post_init__(self) -> None:
        self.beat = Beat(self.clock)

    def run(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        return self.process.spawn(work)

    def start(self) -> None:
        for place in self.places.values():
            self.run(place.parts.refresher.run())

    async def terminate(self) -> None:
        """End the replica like SIGTERM; return when it has ended."""
        for place in self.places.values():
            place.parts.refresher.stop()
        await asyncio.gather(*(place.broker.close() for place in self.places.values()))


def credentials_with(secret: str) -> Credentials:
    return Credentials(api_key=Secret(f"key-{CANARY}"), api_secret=Secret(secret))
