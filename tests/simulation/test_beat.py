"""All profiles of one process look at the store in the same moments, and no two processes do."""

from __future__ import annotations

import asyncio
from itertools import pairwise

from sidecar.core.model import Profile
from sidecar.core.shared_state import State
from sidecar.stores.engine import MemoryStore
from sidecar.vending.assembly import assemble
from sidecar.vending.refresher import TOGETHER_S, Beat
from tests.support.fleet import FileCredentials, Wire, credentials
from tests.support.partner import FakePartner
from tests.support.sink import ListSink
from tests.support.virtual_time import VirtualClock, virtual

NAMES = ("a", "b", "c", "d")
POLL_S = 2.0


class LookedAt(Wire):
    """Remembers when it was looked at."""

    def __init__(self, name: str, store: MemoryStore) -> None:
        super().__init__(store.shared_state(profile(name)))
        self.moments: list[float] = []
        self.task: asyncio.Task[None] | None = None

    async def peek(self, known: int) -> State:
        self.moments.append(asyncio.get_running_loop().time())
        return await super().peek(known)


def profile(name: str) -> Profile:
    return Profile(name=name, account=name, base_url="https://partner.example", poll_s=POLL_S)


def start(store: MemoryStore, clock: VirtualClock) -> list[LookedAt]:
    """One process with four profiles."""
    beat, ways = Beat(clock), [LookedAt(name, store) for name in NAMES]
    for name, way in zip(NAMES, ways, strict=True):
        parts = assemble(
            profile(name),
            replica_id="r",
            clock=clock,
            store=way,
            partner=FakePartner(),
            credentials=FileCredentials(credentials()),
            sink=ListSink(),
            beat=beat,
        )
        way.task = asyncio.create_task(parts.refresher.run())
    return ways


@virtual
async def test_the_profiles_of_a_process_look_in_the_same_moments() -> None:
    ways = start(MemoryStore(VirtualClock()), VirtualClock())
    await asyncio.sleep(300)
    # The first rounds, until each has its token, go by the calls.
    looks = [[moment for moment in way.moments if moment > 10] for way in ways]
    assert looks[0] == looks[1] == looks[2] == looks[3]
    assert all(0.9 * POLL_S <= later - earlier <= POLL_S + 1e-6 for earlier, later in pairwise(looks[0]))


@virtual
async def test_two_processes_look_in_moments_of_their_own() -> None:
    store = MemoryStore(VirtualClock())
    one, other = start(store, VirtualClock(seed=1)), start(store, VirtualClock(seed=2))
    await asyncio.sleep(300)
    assert not {round(moment, 3) for moment in one[0].moments} & {round(moment, 3) for moment in other[0].moments[5:]}


@virtual
async def test_a_timer_that_goes_off_early_makes_no_second_look() -> None:
    clock = VirtualClock()
    beat = Beat(clock)
    await asyncio.sleep(beat.rest_s(POLL_S) - TOGETHER_S / 2)
    assert beat.rest_s(POLL_S) >= 0.9 * POLL_S
