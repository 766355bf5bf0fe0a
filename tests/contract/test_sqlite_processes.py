"""Several processes at one file: locks, time limits, and files that come and go under them."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from functools import partial
from pathlib import Path

import pytest

from sidecar.core.errors import FailureKind, StoreError
from sidecar.stores.factory import Store
from sidecar.stores.sqlite.store import SqliteStore
from tests.contract.operations import answered, run_one
from tests.contract.worlds import PROFILE, SEALER, failed, fetched, granted
from tests.support.hand_clock import HandClock
from tests.support.peer_process import PeerProcess
from tests.support.replica import HANG_S, PATIENT_S

TIMEOUT_S = 1.0
WRITING = ("claim", "commit", "fail", "seed")
TICK_S = 0.01


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    yield store
    await store.close()


@pytest.fixture
async def hasty(path: Path) -> AsyncIterator[SqliteStore]:
    """Of the same file."""
    store = SqliteStore(path, timeout_s=TIMEOUT_S, sealer=SEALER, clock=HandClock())
    yield store
    await store.close()


@pytest.fixture
async def peer(path: Path, store: SqliteStore) -> AsyncIterator[PeerProcess]:
    await store.ping()
    peer = await asyncio.to_thread(PeerProcess, path)
    yield peer
    peer.kill()


def remove(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


class Ticks:
    """Counts while the event loop is free to."""

    def __init__(self) -> None:
        self.count = 0
        self._task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            self.count += 1

    def stop(self) -> None:
        self._task.cancel()


async def test_while_another_process_holds_the_lock_the_loop_goes_on_and_each_operation_ends_in_time(
    hasty: SqliteStore, peer: PeerProcess
) -> None:
    shared = hasty.shared_state(PROFILE)
    for operation in WRITING:
        peer.ask("lock")
        ticks, began = Ticks(), time.monotonic()
        with pytest.raises(StoreError) as caught:
            await asyncio.wait_for(run_one(shared, operation), HANG_S)
        took_s = time.monotonic() - began
        ticks.stop()
        assert took_s >= 0.8 * TIMEOUT_S
        assert ticks.count >= 1, "a loop that is held up has none"
        assert caught.value.operation == operation
        assert "SIDECAR_STORE_TIMEOUT_S" in caught.value.words
        peer.ask("unlock")
        await answered(partial(run_one, shared, operation))


async def test_who_only_looks_needs_no_lock(store: SqliteStore, hasty: SqliteStore, peer: PeerProcess) -> None:
    shared = store.shared_state(PROFILE)
    token = await fetched(shared)
    peer.ask("lock")
    assert (await shared.peek(0)).token_id == token.token_id
    assert not (await shared.reject("another", 0)).current
    with pytest.raises(StoreError):
        await hasty.shared_state(PROFILE).reject(token.token_id, 0)
    peer.ask("unlock")
    assert (await shared.reject(token.token_id, 0)).current
    peer.ask("lock")
    assert (await shared.reject(token.token_id, 0)).current, "it was reported before: nothing is to be written"


async def test_many_operations_behind_a_lock_all_end_in_time(hasty: SqliteStore, peer: PeerProcess) -> None:
    shared = hasty.shared_state(PROFILE)
    peer.ask("lock")
    began = time.monotonic()
    answers = await asyncio.gather(*(run_one(shared, name) for name in WRITING * 20), return_exceptions=True)
    assert time.monotonic() - began < 0.8 * 80 * TIMEOUT_S, "at once, and not one after the other"
    assert {type(answer) for answer in answers} == {StoreError}


async def test_a_lock_ends_with_the_process_that_held_it(store: SqliteStore, peer: PeerProcess) -> None:
    peer.ask("lock")
    peer.kill()
    await granted(store.shared_state(PROFILE))


async def test_what_one_process_wrote_the_other_sees(store: SqliteStore, peer: PeerProcess) -> None:
    token_id = peer.ask("fetch")["token_id"]
    state = await store.shared_state(PROFILE).peek(0)
    assert (state.token_id, state.token is not None) == (token_id, True)


async def test_when_the_file_is_removed_all_processes_go_on_with_one_new_file(
    path: Path, store: SqliteStore, peer: PeerProcess
) -> None:
    shared = store.shared_state(PROFILE)
    await failed(shared, FailureKind.TIMEOUT, 0)
    epoch = peer.ask("peek")["epoch"]
    remove(path)
    token = await fetched(shared)
    assert peer.ask("peek")["token_id"] == token.token_id
    await failed(shared, FailureKind.THROTTLED, 30, known=token.fence)
    seen = peer.ask("peek")
    assert (await shared.peek(0)).epoch == seen["epoch"] != epoch
    assert peer.ask("claim")["outcome"] == "Adopt"
    await store.close()
    assert peer.ask("peek") == seen, "and it lies on the disk"


async def test_a_file_that_was_replaced_is_opened_again(path: Path, store: SqliteStore, peer: PeerProcess) -> None:
    shared = store.shared_state(PROFILE)
    await fetched(shared)
    other = path.with_name("other.db")
    await _filled(other)
    remove(path)
    other.rename(path)
    epoch = (await shared.peek(0)).epoch
    assert epoch == peer.ask("peek")["epoch"]
    assert (await shared.peek(0)).token_id == ""


async def _filled(path: Path) -> None:
    clock = HandClock()
    clock.new_id()  # not the epoch of the others
    store: Store = SqliteStore(path, timeout_s=PATIENT_S, sealer=SEALER, clock=clock)
    await failed(store.shared_state(PROFILE), FailureKind.TIMEOUT, 0)
    await store.close()


@pytest.fixture
def four(path: Path) -> Iterator[list[PeerProcess]]:
    neighbours = [PeerProcess(path) for _ in range(4)]
    yield neighbours
    for each in neighbours:
        each.kill()


def test_of_processes_that_meet_at_no_file_one_is_granted(path: Path, four: list[PeerProcess]) -> None:
    """They make it together, time and again."""
    for _ in range(30):
        for each in four:
            each.order("claim")
        answers = [each.answer() for each in four]
        assert Counter(str(answer.get("outcome", answer)) for answer in answers) == {"Granted": 1, "Held": 3}
        remove(path)


async def test_a_folder_that_vanishes_and_comes_back_is_a_fault_that_ends(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    folder.mkdir()
    store = SqliteStore(folder / "state.db", timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    shared = store.shared_state(PROFILE)
    await fetched(shared)
    shutil.rmtree(folder)
    with pytest.raises(StoreError) as caught:
        await shared.peek(0)
    assert (caught.value.cause, caught.value.words) == ("FileNotFoundError", "its folder does not exist")
    folder.mkdir()
    await fetched(shared)
    await store.close()
