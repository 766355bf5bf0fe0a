"""The thread that does what may wait: time limits, callers that go away, and the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from sidecar.core.errors import StoreError
from sidecar.stores.sqlite.store import SqliteStore
from tests.contract.operations import answered
from tests.contract.sqlite_world import SqliteWorld
from tests.contract.worlds import PROFILE, SEALER, an_ask, fetched, granted
from tests.support.hand_clock import HandClock
from tests.support.hand_readings import HandReadings
from tests.support.replica import HANG_S

TIMEOUT_S = 0.3


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


class HangingReadings(HandReadings):
    """Stands for a disk that does not answer: the thread waits in the middle of an operation."""

    def __init__(self) -> None:
        super().__init__()
        self.free = threading.Event()
        self.free.set()

    def uptime_ms(self) -> int:
        self.free.wait(2 * HANG_S)
        return super().uptime_ms()


async def test_a_disk_that_hangs_is_a_store_error_in_time_and_the_loop_goes_on(path: Path) -> None:
    """What was under way when its caller gave up runs on; the same nonce then gets the same answer."""
    readings = HangingReadings()
    store = SqliteStore(path, timeout_s=TIMEOUT_S, sealer=SEALER, clock=HandClock(), readings=readings)
    shared, ask = store.shared_state(PROFILE), an_ask()
    await answered(lambda: shared.peek(0))
    readings.free.clear()
    began = time.monotonic()
    claiming, ticks = asyncio.create_task(shared.claim(ask)), 0
    async with asyncio.timeout(HANG_S):
        while not claiming.done():
            await asyncio.sleep(0.01)
            ticks += 1
    with pytest.raises(StoreError, match="TimeoutError"):
        await claiming
    assert time.monotonic() - began >= TIMEOUT_S
    assert ticks > 0
    readings.free.set()
    _, grant = await answered(lambda: granted(shared, ask))
    state = await answered(lambda: shared.peek(0))
    assert (state.fence, len(state.grants)) == (grant.fence, 1)
    await store.close()


async def test_a_claim_that_never_had_its_turn_is_not_made_later(path: Path) -> None:
    readings = HangingReadings()
    store = SqliteStore(path, timeout_s=TIMEOUT_S, sealer=SEALER, clock=HandClock(), readings=readings)
    shared = store.shared_state(PROFILE)
    await answered(lambda: shared.peek(0))
    readings.free.clear()
    answers = await asyncio.gather(shared.peek(0), shared.claim(an_ask()), return_exceptions=True)
    assert [type(answer) for answer in answers] == [StoreError, StoreError]
    readings.free.set()
    assert (await answered(lambda: shared.peek(0))).epoch == ""
    await store.close()


async def test_a_caller_that_goes_away_harms_nobody(sqlite_world: SqliteWorld) -> None:
    """Cancelled at every stage, while another profile's callers go on."""
    shared = sqlite_world.store.shared_state(PROFILE)
    token = await fetched(shared)
    cancelled = 0
    for turn in range(300):
        task = asyncio.create_task(shared.peek(0))
        for _ in range(turn % 4):
            await asyncio.sleep(0)
        task.cancel()
        assert (await shared.peek(0)).token_id == token.token_id
        answer = (await asyncio.gather(task, return_exceptions=True))[0]
        cancelled += isinstance(answer, asyncio.CancelledError)
    assert cancelled > 50


async def test_a_closed_store_is_a_store_error_and_closes_once(sqlite_world: SqliteWorld) -> None:
    await sqlite_world.store.close()
    await sqlite_world.store.close()
    with pytest.raises(StoreError):
        await sqlite_world.store.shared_state(PROFILE).peek(0)


async def test_a_store_that_was_closed_leaves_one_file_that_holds_everything(sqlite_world: SqliteWorld) -> None:
    token = await fetched(sqlite_world.store.shared_state(PROFILE))
    await sqlite_world.store.close()
    assert [each.name for each in sqlite_world.path.parent.iterdir()] == [sqlite_world.path.name]
    sqlite_world.store = sqlite_world.another()
    assert (await sqlite_world.store.shared_state(PROFILE).peek(0)).token_id == token.token_id


HANGS = """
import asyncio, sys, threading
from pathlib import Path
from sidecar.core.errors import StoreError
from sidecar.stores.sqlite.store import SqliteStore
from tests.contract.worlds import PROFILE, SEALER
from tests.support.hand_clock import HandClock
from tests.support.hand_readings import HandReadings

class HangingReadings(HandReadings):
    def uptime_ms(self):
        threading.Event().wait()

async def main():
    store = SqliteStore(
        Path(sys.argv[1]), timeout_s=0.1, sealer=SEALER, clock=HandClock(), readings=HangingReadings()
    )
    try:
        await store.shared_state(PROFILE).peek(0)
    except StoreError:
        await store.close()
        print("closed")

asyncio.run(main())
"""


def test_a_process_ends_while_its_disk_hangs(path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", HANGS, path],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        check=False,
        text=True,
        timeout=HANG_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "closed\n", "")
