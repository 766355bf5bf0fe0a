"""One SQLite file that the processes of a machine share: opened, told apart from its successors, and closed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import struct
import time
from pathlib import Path
from urllib.parse import quote

from sidecar.core.errors import SidecarError
from sidecar.core.model import Moment

APPLICATION_ID = int.from_bytes(b"pts1")
VERSION = 1
_SCHEMA = (
    "CREATE TABLE kept (name TEXT PRIMARY KEY, until_ms INTEGER NOT NULL, document BLOB NOT NULL) WITHOUT ROWID",
    f"PRAGMA application_id = {APPLICATION_ID}",
    f"PRAGMA user_version = {VERSION}",
)
LOOK_S = 0.005
PRIMARY_CODE = 0xFF
"""The part of SQLite's error codes that names the kind (https://www.sqlite.org/rescode.html)."""
BUSY_SHARE = 0.9
"""Of the time that is left, for waiting on a lock: that it was the lock can still be said in time."""

_SHARED_FIRST, _SHARED_BYTES = 0x40000002, 510
"""Where SQLite's processes lock a file against its exclusive use (https://www.sqlite.org/fileformat.html, 1.1)."""


class FileError(SidecarError):
    """The file is a database, but none that can be used here."""


class ForeignFileError(FileError):
    """It is another program's."""


class FileVersionError(FileError):
    """It was written by another version of this program."""


class SharedMemoryError(FileError):
    """Its place does not let processes share memory, which write-ahead logging needs."""


class SqliteFile:
    """The file at a path, whichever lies there now. All of it belongs to one thread.

    Deadlines are moments of `time.monotonic`.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._connection: sqlite3.Connection | None = None
        # Keeps the number of the file that is open from being given to its successor, and see `leave`.
        self._handle = -1
        self._places: tuple[object, ...] = ()

    def connection(self, deadline: Moment) -> sqlite3.Connection:
        """A connection in autocommit mode to the file that lies at the path now, made where there is none.

        Raises `sqlite3.Error`, `OSError` and the errors above.
        """
        if self._connection is not None and self._places != self._found():
            self.leave()
        if self._connection is None:
            self._connection = self._open(deadline)
        _wait_until(self._connection, deadline)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def leave(self) -> None:
        """Close the connection to a file that is gone or cannot be trusted, and touch nothing at the path.

        The last one to close a file copies its log into it and then deletes `…-wal`, by that name, which may be the
        successor's by now. SQLite lets be what another still uses; a lock that belongs to the open file and not to this
        process looks like another's.
        """
        if self._handle >= 0 and hasattr(fcntl, "F_OFD_SETLK"):
            lock = struct.pack("hhqqi4x", fcntl.F_RDLCK, os.SEEK_SET, _SHARED_FIRST, _SHARED_BYTES, 0)
            fcntl.fcntl(self._handle, fcntl.F_OFD_SETLK, lock)
        self.close()

    def _open(self, deadline: Moment) -> sqlite3.Connection:
        # Nobody else's to read from the moment it is there; SQLite gives the files beside it the same mode. The handle
        # is closed after the connection only: closing any handle of a file ends this process's locks on it.
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        opened = os.fstat(self._handle)
        try:
            # Never made by SQLite itself, which would make it readable for all.
            uri = f"file:{quote(str(self._path))}?mode=rw"
            self._connection = connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=0)
            _set_up(connection, deadline)
        except BaseException:
            self.leave()
            raise
        self._places = ((opened.st_dev, opened.st_ino), *self._found()[1:])
        return connection

    def _found(self) -> tuple[object, ...]:
        """Which files lie at the path now. Locks live in `…-shm`: who has another one shares nothing with us."""
        return tuple(_place(self._path.with_name(self._path.name + suffix)) for suffix in ("", "-wal", "-shm"))


def _place(path: Path) -> object:
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


def _set_up(connection: sqlite3.Connection, deadline: Moment) -> None:
    # Bytes as they are: what somebody else wrote there may be no text.
    connection.text_factory = bytes
    _wait_until(connection, deadline)
    # Survives a power cut too: a grant that was forgotten would be a partner call too many. It costs a few
    # milliseconds, a few times in a token's life.
    connection.execute("PRAGMA synchronous = FULL")
    ours = _is_ours(connection)
    if ours and _number(connection, "user_version") != VERSION:
        raise FileVersionError
    _switch_to_log(connection, deadline)
    if not ours:
        _make(connection)


def _is_ours(connection: sqlite3.Connection) -> bool:
    """False for a file with nothing in it."""
    application_id = _number(connection, "application_id")
    if application_id == APPLICATION_ID:
        return True
    if application_id or connection.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
        raise ForeignFileError
    return False


def _switch_to_log(connection: sqlite3.Connection, deadline: Moment) -> None:
    """Does nothing to a file that has its log. Of several who try at once SQLite refuses some without waiting."""
    while True:
        try:
            mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
            time.sleep(LOOK_S)
        else:
            break
    if bytes(mode) != b"wal":
        raise SharedMemoryError


def _make(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    if not _is_ours(connection):
        for statement in _SCHEMA:
            connection.execute(statement)
    connection.execute("COMMIT")


def is_busy(error: Exception) -> bool:
    """Whether another process held the lock for longer than this one could wait."""
    return getattr(error, "sqlite_errorcode", 0) & PRIMARY_CODE == sqlite3.SQLITE_BUSY


def _wait_until(connection: sqlite3.Connection, deadline: Moment) -> None:
    """Let the connection wait for locks. Raises `TimeoutError` when it is too late for that."""
    wait_ms = round((deadline - time.monotonic()) * 1000 * BUSY_SHARE)
    if wait_ms <= 0:
        raise TimeoutError
    connection.execute(f"PRAGMA busy_timeout = {wait_ms}")


def _number(connection: sqlite3.Connection, pragma: str) -> int:
    return int(connection.execute(f"PRAGMA {pragma}").fetchone()[0])
