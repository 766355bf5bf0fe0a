"""A file that cannot be used is a store that is down, says why in words, and is used again when it can be."""

from __future__ import annotations

import asyncio
import contextlib
import os
import resource
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.errors import StoreError
from sidecar.core.store_url import parse_store_url
from sidecar.stores.factory import open_store
from sidecar.stores.sqlite.database import SCHEMA, is_ours
from sidecar.stores.sqlite.errors import FileError, words_for
from sidecar.stores.sqlite.store import SqliteStore
from tests.contract.operations import OPERATIONS, run_one
from tests.contract.worlds import PROFILE, SEALER, an_ask, fetched, granted
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "canary-state.db"


@pytest.fixture
async def store(path: Path) -> AsyncIterator[SqliteStore]:
    store = SqliteStore(path, timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    yield store
    await store.close()


def changed(path: Path, statement: str) -> None:
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(statement)


def no_database(path: Path) -> None:
    path.write_bytes(b"no database, and longer than the head of one" * 9)


def another_programs(path: Path) -> None:
    changed(path, "CREATE TABLE theirs (x); PRAGMA user_version = 1")


def another_programs_by_its_id(path: Path) -> None:
    changed(path, "PRAGMA application_id = 77")


def of_another_version(path: Path) -> None:
    asyncio.run(_made(path))
    changed(path, "PRAGMA user_version = 99")


def damaged(path: Path) -> None:
    asyncio.run(_made(path))
    content = bytearray(path.read_bytes())
    content[100:] = b"\x55" * (len(content) - 100)
    path.write_bytes(content)


async def _made(path: Path) -> None:
    store = SqliteStore(path, timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    await fetched(store.shared_state(PROFILE))
    await store.close()


@pytest.mark.parametrize(
    ("spoil", "cause", "said"),
    [
        (no_database, "DatabaseError", "not a SQLite database"),
        (another_programs, "ForeignFileError", "another program"),
        (another_programs_by_its_id, "ForeignFileError", "another program"),
        (of_another_version, "FileVersionError", "another version"),
        (damaged, "DatabaseError", "damaged: remove it"),
        (Path.mkdir, "OperationalError", "cannot be opened"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_store_error_with_words_until_it_is_removed(
    path: Path, spoil: Callable[[Path], None], cause: str, said: str
) -> None:
    spoil(path)

    async def run() -> None:
        store = SqliteStore(path, timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
        for operation in (*OPERATIONS, "ping"):
            with pytest.raises(StoreError) as caught:
                await (store.ping() if operation == "ping" else run_one(store.shared_state(PROFILE), operation))
            assert (caught.value.operation, caught.value.cause) == (operation, cause)
            assert said in caught.value.words
            assert caught.value.__suppress_context__
            assert "canary" not in f"{caught.value} {caught.value.words}"
        await asyncio.to_thread(remove, path)
        await fetched(store.shared_state(PROFILE))
        await store.close()

    asyncio.run(run())


def remove(path: Path) -> None:
    if path.is_dir():
        path.rmdir()
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def nothing_yet(path: Path) -> None:
    path.touch(0o600)


def a_log_and_no_table(path: Path) -> None:
    changed(path, "PRAGMA journal_mode = WAL")


@pytest.mark.parametrize("left", [nothing_yet, a_log_and_no_table])
async def test_what_a_process_left_that_was_killed_while_it_made_the_file_is_used(
    path: Path, store: SqliteStore, left: Callable[[Path], None]
) -> None:
    left(path)
    await fetched(store.shared_state(PROFILE))


class _Overtaken(sqlite3.Connection):
    """After its first look at an empty file, another process makes the table."""

    maker: Callable[[], None] | None = None

    def execute(self, *arguments: Any) -> sqlite3.Cursor:  # noqa: ANN401 - sqlite3's own form
        maker, self.maker = self.maker, None
        answer = super().execute(*arguments)
        if maker is not None:
            maker()
        return answer


def test_a_file_that_another_process_makes_at_this_moment_is_not_another_programs(path: Path) -> None:
    changed(path, "PRAGMA journal_mode = WAL")
    connection = sqlite3.connect(path, factory=_Overtaken)
    connection.maker = lambda: changed(path, "; ".join(SCHEMA))
    assert is_ours(connection)
    connection.close()


@contextlib.contextmanager
def no_room(bytes_left: int = 0) -> Iterator[None]:
    """No file of this process may grow beyond this: what a full disk looks like."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_a_full_disk_grants_nothing_and_keeps_what_is_there(store: SqliteStore) -> None:
    shared = store.shared_state(PROFILE)
    token = await fetched(shared)
    with no_room():
        for ask in (an_ask(known=token.fence), an_ask(known=token.fence)):
            with pytest.raises(StoreError) as caught:
                await shared.claim(ask)
            assert "disk is full" in caught.value.words
    seen = await shared.peek(0)
    assert (seen.token_id, len(seen.grants)) == (token.token_id, 1)
    await granted(shared, an_ask(known=token.fence))


async def test_a_full_disk_at_the_first_start_is_a_store_error(store: SqliteStore) -> None:
    with no_room(), pytest.raises(StoreError):
        await store.ping()
    await store.ping()


async def test_a_connection_that_went_bad_is_replaced(path: Path, store: SqliteStore) -> None:
    shared = store.shared_state(PROFILE)
    token = await fetched(shared)
    other = sqlite3.connect(path)
    other.execute("SELECT * FROM kept").fetchall()

    def break_it() -> None:
        connection = store._file._connection
        assert connection is not None
        connection.close()

    await asyncio.get_running_loop().run_in_executor(store._thread, break_it)
    with pytest.raises(StoreError):
        await shared.peek(0)
    assert (await shared.peek(0)).token_id == token.token_id
    other.close()


@pytest.mark.parametrize("slashes", ["sqlite://", "sqlite:///"])
async def test_a_url_names_an_absolute_path_by_three_slashes_or_four(tmp_path: Path, slashes: str) -> None:
    (tmp_path / "a b").mkdir()
    store = open_store(
        parse_store_url(f"{slashes}{tmp_path}/a%20b/x.db"), timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock()
    )
    await store.ping()
    await store.close()
    assert (tmp_path / "a b" / "x.db").exists()


@pytest.mark.parametrize("name", ["SQLITE_PERM", "SQLITE_READONLY", "SQLITE_FULL", "SQLITE_IOERR", "SQLITE_CANTOPEN"])
def test_what_an_administrator_can_mend_has_words(name: str) -> None:
    error = sqlite3.OperationalError("canary")
    error.sqlite_errorcode = getattr(sqlite3, name) | 0x300
    assert words_for(error)
    assert "canary" not in words_for(error)


@pytest.mark.parametrize("error", [*FileError.__subclasses__(), NotADirectoryError, IsADirectoryError, PermissionError])
def test_every_kind_of_file_that_cannot_be_used_has_words(error: type[Exception]) -> None:
    assert words_for(error("text"))


def test_what_has_no_words_says_nothing() -> None:
    assert words_for(sqlite3.ProgrammingError("canary")) == ""
    assert words_for(OSError("canary")) == ""


def test_no_file_is_ever_readable_by_others(path: Path) -> None:
    """Not even where the process would let everything be read, nor what lies beside it during a transaction."""

    async def run() -> set[int]:
        store = SqliteStore(path, timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
        for operation in OPERATIONS:
            await run_one(store.shared_state(PROFILE), operation)
        modes = await asyncio.get_running_loop().run_in_executor(store._thread, modes_while_writing, store)
        await store.close()
        assert set(modes) == {path.name, f"{path.name}-journal"}
        return set(modes.values())

    def modes_while_writing(store: SqliteStore) -> dict[str, int]:
        connection = store._file._connection
        assert connection is not None
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM kept")
        modes = {each.name: each.stat().st_mode & 0o777 for each in path.parent.iterdir()}
        connection.execute("ROLLBACK")
        return modes

    before = os.umask(0)
    try:
        assert asyncio.run(run()) == {0o600}
    finally:
        os.umask(before)
