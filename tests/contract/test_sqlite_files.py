"""What happens to the file, and to those that SQLite makes beside it, under running processes."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from sidecar.core.errors import StoreError
from sidecar.core.ports import SharedState
from sidecar.stores.sqlite.store import SqliteStore
from tests.contract.worlds import PROFILE, SEALER, fetched
from tests.support.hand_clock import HandClock
from tests.support.peer_process import PeerProcess
from tests.support.replica import PATIENT_S, until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    await store.ping()
    yield store
    await store.close()


@pytest.fixture
def shared(store: SqliteStore) -> SharedState:
    return store.shared_state(PROFILE)


@pytest.fixture
def peer(path: Path) -> Iterator[PeerProcess]:
    peer = PeerProcess(path)
    yield peer
    peer.kill()


@pytest.fixture
def earlier(path: Path, store: SqliteStore) -> Iterator[sqlite3.Connection]:
    """A process of an earlier release, as far as the file can tell: it has given it a write-ahead log."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("SELECT * FROM kept").fetchall()
    yield connection
    connection.close()


def beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def truncate(path: Path) -> None:
    path.write_bytes(b"")


def fill(path: Path) -> None:
    path.write_bytes(b"\x55" * 4096)


def lay_a_folder(path: Path) -> None:
    path.unlink(missing_ok=True)
    path.mkdir()


def remove(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    path.unlink(missing_ok=True)


async def meet(shared: SharedState, peer: PeerProcess) -> None:
    """Both go on with the same data, by and by."""

    async def met() -> bool:
        theirs = peer.ask("fetch")
        try:
            ours = await shared.peek(0)
        except StoreError:
            return False
        return bool(ours.token_id) and ours.token_id == theirs.get("token_id")

    await until(met)


@pytest.mark.parametrize("spoil", [truncate, fill, lay_a_folder])
@pytest.mark.parametrize("suffix", ["-shm", "-wal", "-journal"])
async def test_whatever_is_put_beside_the_file_its_processes_live_on(
    path: Path, shared: SharedState, peer: PeerProcess, suffix: str, spoil: Callable[[Path], None]
) -> None:
    """A write-ahead log's `…-shm` is mapped: truncated, it ended every process that looked into it."""
    peer.ask("fetch")
    await shared.peek(0)
    spoil(beside(path, suffix))
    assert {"token_id", "error"} & peer.ask("peek").keys()
    assert {"outcome", "error"} & peer.ask("claim").keys()
    remove(beside(path, suffix))
    await meet(shared, peer)


@pytest.mark.parametrize("spoil", [truncate, fill, lay_a_folder, remove])
async def test_whatever_is_done_to_the_file_its_processes_live_on_and_go_on_without_it(
    path: Path, shared: SharedState, peer: PeerProcess, spoil: Callable[[Path], None]
) -> None:
    peer.ask("fetch")
    await shared.peek(0)
    spoil(path)
    assert {"token_id", "error"} & peer.ask("peek").keys()
    assert {"outcome", "error"} & peer.ask("claim").keys()
    remove(path)
    await meet(shared, peer)


async def test_between_two_operations_there_is_one_file(path: Path, shared: SharedState, peer: PeerProcess) -> None:
    await fetched(shared)
    peer.ask("peek")
    assert [each.name for each in path.parent.iterdir()] == [path.name]


async def test_the_log_of_an_earlier_release_is_shared_while_that_has_it_open_and_ended_then(
    path: Path, shared: SharedState, peer: PeerProcess, earlier: sqlite3.Connection
) -> None:
    token = await fetched(shared)
    assert peer.ask("peek")["token_id"] == token.token_id
    assert len(earlier.execute("SELECT * FROM kept").fetchall()) == 3
    assert beside(path, "-wal").exists()
    earlier.execute("DELETE FROM kept WHERE name LIKE '%:token'")
    assert peer.ask("peek")["token_id"] == (await shared.peek(0)).token_id == ""
    earlier.close()
    await shared.peek(0)
    assert not beside(path, "-wal").exists()
    assert (await shared.peek(0)).epoch == peer.ask("peek")["epoch"] != ""
    assert not beside(path, "-wal").exists()


async def test_a_log_that_a_process_left_when_it_was_killed_is_read(
    path: Path, shared: SharedState, earlier: sqlite3.Connection, tmp_path: Path
) -> None:
    """What it committed last may lie in the log alone."""
    token = await fetched(shared)
    left = tmp_path / "left"
    left.mkdir()
    for suffix in ("", "-wal"):
        shutil.copy(beside(path, suffix), left)
    store = SqliteStore(left / path.name, timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    assert (await store.shared_state(PROFILE).peek(0)).token_id == token.token_id
    assert not beside(left / path.name, "-wal").exists()
    await store.close()


async def test_a_copy_that_is_put_back_is_used_as_it_is(path: Path, store: SqliteStore, shared: SharedState) -> None:
    """An older state, which replicas bring up to date by what they remember."""
    old = await fetched(shared)
    shutil.copy(path, beside(path, ".copy"))
    await fetched(shared, "access-newer", known=old.fence)
    beside(path, ".copy").rename(path)
    assert (await shared.peek(0)).token_id == old.token_id


async def test_what_one_profile_stored_can_be_forgotten(path: Path, store: SqliteStore, shared: SharedState) -> None:
    await fetched(shared)
    await store.forget(PROFILE)
    assert (await shared.peek(0)).epoch == ""
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT name FROM kept").fetchall() == [("clock",)]
