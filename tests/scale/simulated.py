"""A whole fleet on virtual time: the operations on its store while one token is replaced, and the most in a second.

The profile has the defaults except for `poll_s`. The quiet polling is known from the real processes, and ten thousand
replicas that poll every 2 s for a quarter of an hour would repeat it four million times. From the refresh point on
no replica uses that setting.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sidecar.core import policy
from sidecar.core.errors import FailureKind
from sidecar.core.model import Profile
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import ClaimResult
from sidecar.stores.engine import MemoryStore
from tests.support.fleet import Fleet, Wire
from tests.support.partner import FakePartner, failure
from tests.support.virtual_loop import VirtualLoop

T = TypeVar("T")

PROFILE = Profile(base_url="https://partner.example", poll_s=60)
REFRESH_S = policy.refresh_point_s(PROFILE.lifetime_s, PROFILE, 0)
JOIN_S = 60
"""The time over which the replicas start, after the first of them has a token."""
CALL_S = 0.2
"""How long the partner takes to answer by default."""
LIMIT_S = 120
"""A rotation that takes longer fails."""
BIN_S = 0.1


@dataclass
class Tally:
    """The operations on the store, by kind and by time."""

    kinds: Counter[str] = field(default_factory=Counter)
    outcomes: Counter[str] = field(default_factory=Counter)
    bins: Counter[int] = field(default_factory=Counter)

    def note(self, kind: str, now: float) -> None:
        self.kinds[kind] += 1
        self.bins[int(now / BIN_S)] += 1

    def most_within(self, span_s: float) -> int:
        """Return the most operations in any span of this length."""
        width = round(span_s / BIN_S)
        return max(sum(self.bins[first + place] for place in range(width)) for first in list(self.bins))


class CountedWire(Wire):
    def __init__(self, inner: SharedState, tally: Callable[[], Tally]) -> None:
        super().__init__(inner)
        self._tally = tally

    async def _send(self, name: str, operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self._tally().note(name, asyncio.get_running_loop().time())
        answer = await operation()
        if isinstance(answer, ClaimResult):
            self._tally().outcomes[type(answer.outcome).__name__] += 1
        return answer


class CountedStore(MemoryStore):
    tally = Tally()

    def shared_state(self, profile: Profile) -> SharedState:
        return CountedWire(super().shared_state(profile), lambda: self.tally)


@dataclass(frozen=True)
class Rotation:
    """The span from the refresh point until the last replica holds the new token."""

    replicas: int
    took_s: float
    tally: Tally
    calls: int

    def per_replica(self, *kinds: str) -> float:
        return sum(self.tally.kinds[kind] for kind in kinds or self.tally.kinds) / self.replicas


def simulate(replicas: int, *, call_s: float = CALL_S, throttled_s: float = 0) -> Rotation:
    """Simulate one rotation. With `throttled_s`, its first call is answered 429, with this `Retry-After`."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(_rotate(replicas, call_s, throttled_s))


async def _rotate(replicas: int, call_s: float, throttled_s: float) -> Rotation:
    fleet = Fleet(profile=PROFILE, partner=FakePartner(latency_s=call_s))
    fleet.store = store = CountedStore(fleet.clock)
    await _assemble(fleet, replicas)
    born = fleet.partner.calls[0][0]
    await asyncio.sleep(born + REFRESH_S - BIN_S - fleet.clock.monotonic())
    if throttled_s:
        fleet.partner.script.append(failure(FailureKind.THROTTLED, status=429, retry_after_s=throttled_s))
    store.tally, calls_before = Tally(), fleet.partner.count
    began = fleet.clock.monotonic()
    while (
        len({replica.broker.snapshot().token_id for replica in fleet.replicas}) > 1
        or fleet.partner.current == "token-1"
    ):
        await asyncio.sleep(BIN_S)
        assert fleet.clock.monotonic() - began < LIMIT_S
    tally = store.tally
    took_s = fleet.clock.monotonic() - began
    store.tally = Tally()
    await fleet.stop()
    return Rotation(replicas, took_s, tally, fleet.partner.count - calls_before)


async def _assemble(fleet: Fleet, replicas: int) -> None:
    """Start the replicas one by one. The first fetches a token, the others adopt it."""
    await fleet.start()[0].token()
    for _ in range(replicas - 1):
        fleet.start()
        await asyncio.sleep(JOIN_S / replicas)
