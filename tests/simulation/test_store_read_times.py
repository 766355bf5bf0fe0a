"""All profiles of one process read the store at the same moments. Two processes read it at different ones."""

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


class PeekTimes(Wire):
    """A store that records the time of each peek."""

    def __init__(self, name: str, store: MemoryStore) -> None:
        super().__init__(store.shared_state(profile(name)))
        self.moments: list[float] = []
        self.task: asyncio.Task[None] | None = None

    async def peek(self, known: int) -> State:
        self.moments.append(asyncio.get_running_loop().time())
        return await super().peek(known)


def profile(name: str) -> Profile:
    return Profile(name=name, account=name, base_url="https://partner.example", poll_s=POLL_S)


def start(store: MemoryStore, clock: VirtualClock) -> list[PeekTimes]:
    """One process with four profiles."""
    beat, ways = Beat(clock), [PeekTimes(name, store) for name in NAMES]
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
async def test_the_profiles_of_a_process_read_the_store_at_the_same_moments() -> None:
    ways = start(MemoryStore(VirtualClock()), VirtualClock())
    await asyncio.sleep(300)
    # The first rounds follow the calls, until each profile has its token.
    looks = [[moment for moment in way.moments if moment > 10] for way in ways]
    assert looks[0] == looks[1] == looks[2] == looks[3]
    assert all(0.9 * POLL_S <= later - earlier <= POLL_S + 1e-6 for earlier, later in pairwise(looks[0]))


@virtual
async def test_two_processes_read_the_store_at_different_moments() -> None:
    store = MemoryStore(VirtualClock())
    one, other = start(store, VirtualClock(seed=1)), start(store, VirtualClock(seed=2))
    await asyncio.sleep(300)
    assert not {round(moment, 3) for moment in one[0].moments} & {round(moment, 3) for moment in other[0].moments[5:]}


@virtual
async def test_a_timer_that_fires_early_causes_no_second_read() -> None:
    clock = VirtualClock()
    beat = Beat(clock)
    await asyncio.sleep(beat.rest_s(POLL_S) - TOGETHER_S / 2)
    assert beat.rest_s(POLL_S) >= 0.9 * POLL_S
