"""The SQLite file of a store: who may change it, how it is opened, and whether it was replaced."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import time
from pathlib import Path
from typing import cast
from urllib.parse import quote

from sidecar.core.model import MonotonicTime
from sidecar.stores.sqlite.errors import FileVersionError, ForeignFileError, SharedFileError, is_busy

APPLICATION_ID = int.from_bytes(b"pts1")
VERSION = 1
SCHEMA = (
    "CREATE TABLE kept (name TEXT PRIMARY KEY, until_ms INTEGER NOT NULL, document BLOB NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
STEPS = 100_000
"""Instructions of SQLite's virtual machine between two checks of the deadline: some milliseconds."""
BUSY_SHARE = 0.9
"""Of the remaining time, for waiting on a lock: the rest is for reporting in time that it was the lock."""
ROOT_USER = 0
BESIDE = ("-journal", "-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database, and applies to it."""


class SqliteFile:
    """The file that is at a path now. Only one thread may use an object of this class.

    Changes go to a rollback journal, not to a write-ahead log: a log maps `…-shm` into memory, and SIGBUS ends the
    process when a mapped file is truncated. A commit synchronises the disk five times instead of once, 0.7 ms instead
    of 0.2 ms as measured. Between two commits there is one file.

    A process of an earlier release may have the file open with a log. Then this process shares the log, opens the file
    for each operation, and ends the log as soon as no other process has the file open.

    Deadlines are values of `time.monotonic`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        self._place: object = None
        self._has_log = False

    def connection(self, deadline: MonotonicTime) -> sqlite3.Connection:
        """Return a connection in autocommit mode to the file that is at the path now. Create a missing file.

        Raises `sqlite3.Error`, `OSError` and `FileError`.
        """
        refuse_shared(self._path)
        if self._connection is not None and (self._place != _place(self._path) or self._log.exists()):
            # The file was replaced, or another process has given it a log.
            self.close()
        if self._connection is None:
            self._open(deadline)
        connection = cast("sqlite3.Connection", self._connection)
        _wait_until(connection, deadline)
        return connection

    def rest(self) -> None:
        """Close a file with a log between operations: only a single process that has it open can end the log."""
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
        # Read before the file is opened: if it is replaced meanwhile, the next operation detects it.
        self._place = _place(self._path)
        # SQLite itself never creates the file: it would make it readable for every user.
        uri = f"file:{quote(str(self._path))}?mode=rw"
        self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0)
        try:
            self._has_log = _set_up(self._connection, deadline)
        except BaseException:
            self.close()
            raise


def _make_private(path: Path) -> None:
    """Create a missing file so that no other user can read it; SQLite gives the files beside it the same mode.

    An existing file is not opened: closing it would end this process's locks on it, SQLite's included.
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
    """Configure the connection and create a missing table. Return whether the file still has a log."""
    # Raw bytes: what another program wrote there may not be text.
    connection.text_factory = bytes
    _wait_until(connection, deadline)
    # Unmapped, a truncated file causes an error instead of SIGBUS; some builds of SQLite map it by default.
    connection.execute("PRAGMA mmap_size = 0")
    # Survives a power cut too: a lost grant would allow one partner call too many. EXTRA also synchronises the folder
    # when a journal was deleted: a journal that reappears would undo its transaction. This costs a few milliseconds, a
    # few times in a token's life.
    connection.execute("PRAGMA synchronous = EXTRA")
    ours = is_ours(connection)
    if ours and _number(connection, "user_version") != VERSION:
        raise FileVersionError
    has_log = _end_log(connection)
    if not ours:
        _make(connection)
    return has_log


def is_ours(connection: sqlite3.Connection) -> bool:
    """Return whether the file is this program's; False for an empty file. Raises `ForeignFileError`."""
    # In this order: another process may create the table, and with it the id, between the two queries.
    tables = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]
    application_id = _number(connection, "application_id")
    if application_id not in (0, APPLICATION_ID) or (tables and not application_id):
        raise ForeignFileError
    return application_id == APPLICATION_ID


def _end_log(connection: sqlite3.Connection) -> bool:
    """Switch to a rollback journal, which is deleted at each commit.

    Return whether the file still has a write-ahead log, because another process has it open.
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


def _wait_until(connection: sqlite3.Connection, deadline: MonotonicTime) -> None:
    """Let the connection wait for locks, and work, until the deadline. Raises `TimeoutError` if it has passed."""
    wait_ms = round((deadline - time.monotonic()) * 1000 * BUSY_SHARE)
    if wait_ms <= 0:
        raise TimeoutError
    connection.execute(f"PRAGMA busy_timeout = {wait_ms}")
    # Our statements end long before. A trigger or a view that was planted in the file may never end.
    connection.set_progress_handler(lambda: time.monotonic() > deadline, STEPS)


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])


def refuse_shared(path: Path) -> None:
    """Check owner and mode of the file, of its folder, and of the files that SQLite keeps beside it.

    They must belong to this process's user or to root, and be writable by nobody else. A setgid folder of a group of
    ours is shared with that group on purpose, and so are the files in it: Kubernetes makes such folders for `fsGroup`.
    A sticky folder does not count as safe, because everybody may put a journal into it. Links to the folder are
    followed; the file itself must not be a link. Files that do not exist are fine.

    Raises `SharedFileError`, and `OSError` if the folder cannot be read.
    """
    folder = path.parent.stat()
    group = folder.st_gid if folder.st_mode & stat.S_ISGID and folder.st_gid in _our_groups() else None
    _refuse("its folder", folder, group, 0o700)
    # From here on, no other user can change the files in the folder.
    for suffix in ("", *BESIDE):
        with contextlib.suppress(FileNotFoundError):
            status = os.lstat(f"{path}{suffix}")
            _refuse(f"the file beside it that ends in {suffix}" if suffix else "the file", status, group, 0o600)


def _refuse(what: str, status: os.stat_result, group: int | None, wanted: int) -> None:
    user = os.geteuid()
    if stat.S_ISLNK(status.st_mode):
        raise SharedFileError(f"{what} is a link: name the file it leads to")
    if status.st_uid not in (user, ROOT_USER):
        raise SharedFileError(
            f"{what} belongs to user {status.st_uid}, and this process runs as user {user}: run it as that user, or "
            "name a file in a folder of its own"
        )
    by_others = stat.S_IWOTH if status.st_gid == group else stat.S_IWOTH | stat.S_IWGRP
    if status.st_mode & by_others:
        # Not for a folder that is meant for all, such as /tmp.
        private = status.st_uid == user and not status.st_mode & stat.S_ISVTX
        raise SharedFileError(
            f"{what} is writable by other users (mode {stat.S_IMODE(status.st_mode):04o}): "
            f"{f'set its mode to {wanted:04o}, or ' if private else ''}"
            "name a file in a folder that does not exist yet, which is then made for this user alone"
        )


def _our_groups() -> set[int]:
    return {os.getegid(), *os.getgroups()}
