"""One SQLite file that the processes of a machine share: opened, told apart from its successors, and closed."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import cast
from urllib.parse import quote

from sidecar.core.model import MonotonicTime
from sidecar.stores.sqlite.errors import FileVersionError, ForeignFileError
from sidecar.stores.sqlite.rights import refuse_shared

APPLICATION_ID = int.from_bytes(b"pts1")
VERSION = 1
SCHEMA = (
    "CREATE TABLE kept (name TEXT PRIMARY KEY, until_ms INTEGER NOT NULL, document BLOB NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
PRIMARY_CODE = 0xFF
"""The part of SQLite's error codes that names the kind (https://www.sqlite.org/rescode.html)."""
STEPS = 100_000
"""Of SQLite's machine between two looks at the time: some milliseconds."""
BUSY_SHARE = 0.9
"""Of the time that is left, for waiting on a lock: that it was the lock can still be said in time."""


class SqliteFile:
    """The file at a path, whichever lies there now. All of it belongs to one thread.

    Changes are kept in a rollback journal, not in a write-ahead log: that maps `…-shm` into memory, and when somebody
    truncates a mapped file, SIGBUS ends the process. A commit synchronises the disk five times instead of once, 0.7 ms
    instead of 0.2 ms where it was measured, and between two commits there is one file.

    A process of an earlier release may have the file open with a log. Then this one shares the log, opens the file for
    each operation, and ends the log as soon as nobody else has the file open.

    Deadlines are moments of `time.monotonic`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._place: object = None
        self._has_log = False

    def connection(self, deadline: MonotonicTime) -> sqlite3.Connection:
        """A connection in autocommit mode to the file that lies at the path now, made where there is none.

        Raises `sqlite3.Error`, `OSError` and `FileError`.
        """
        refuse_shared(self._path)
        if self._connection is not None and (self._place != _place(self._path) or self._log.exists()):
            # Another file by now, or another process has given it a log.
            self.close()
        if self._connection is None:
            self._open(deadline)
        connection = cast("sqlite3.Connection", self._connection)
        _wait_until(connection, deadline)
        return connection

    def rest(self) -> None:
        """Between two operations: a log can be ended only while a single process has the file open."""
        if self._has_log:
            self.close()

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    @property
    def _log(self) -> Path:
        return self._path.with_name(f"{self._path.name}-wal")

    def _open(self, deadline: MonotonicTime) -> None:
        _make_private(self._path)
        # Before it is opened: if it is replaced meanwhile, the next operation sees another one.
        self._place = _place(self._path)
        # Never made by SQLite itself, which would let everybody read it.
        uri = f"file:{quote(str(self._path))}?mode=rw"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0)
        try:
            self._has_log = _set_up(self._connection, deadline)
        except BaseException:
            self.close()
            raise


def _make_private(path: Path) -> None:
    """Nobody else's to read from the moment it is there; SQLite gives the files beside it the same mode.

    A file that is there is not opened: closing it would end this process's locks on it, SQLite's among them.
    """
    with contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))


def _place(path: Path) -> object:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _set_up(connection: sqlite3.Connection, deadline: MonotonicTime) -> bool:
    """Make the connection ready, and the table where there is none; whether the file still has a log."""
    # Bytes as they are: what somebody else wrote there may be no text.
    connection.text_factory = bytes
    _wait_until(connection, deadline)
    # A file that somebody truncates is an error then, and no SIGBUS; some builds of SQLite map it unless told.
    connection.execute("PRAGMA mmap_size = 0")
    # Survives a power cut too: a grant that was forgotten would be a partner call too many. EXTRA also synchronises the
    # folder when a journal was deleted: one that came back would undo its transaction. A few milliseconds, a few times
    # in a token's life.
    connection.execute("PRAGMA synchronous = EXTRA")
    ours = is_ours(connection)
    if ours and _number(connection, "user_version") != VERSION:
        raise FileVersionError
    has_log = _end_log(connection)
    if not ours:
        _make(connection)
    return has_log


def is_ours(connection: sqlite3.Connection) -> bool:
    """False for a file with nothing in it."""
    # In this order: another process may make the table, and with it the id, between the two looks.
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application_id = _number(connection, "application_id")
    if application_id not in (0, APPLICATION_ID) or (tables and not application_id):
        raise ForeignFileError
    return application_id == APPLICATION_ID


def _end_log(connection: sqlite3.Connection) -> bool:
    """Use a rollback journal from now on, which is deleted at each commit.

    Answers whether the file still has a write-ahead log, because another process has it open.
    """
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if not is_busy(error):
            raise
        return True
    return False


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if not is_ours(connection):
        for statement in SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")


def is_busy(error: Exception) -> bool:
    """Whether another process held the lock for longer than this one could wait."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE == sqlite3.SQLITE_BUSY


def could_not_open(error: Exception) -> bool:
    """Whether SQLite could not open a file; it does not say why."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE == sqlite3.SQLITE_CANTOPEN


def _wait_until(connection: sqlite3.Connection, deadline: MonotonicTime) -> None:
    """Let the connection wait for locks, and work, until then. Raises `TimeoutError` when it is too late for that."""
    wait_ms = round((deadline - time.monotonic()) * 1000 * BUSY_SHARE)
    if wait_ms <= 0:
        raise TimeoutError
    connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    # Ours are over long before; what somebody planted in the file, a trigger or a reply, need never be.
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
