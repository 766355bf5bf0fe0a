"""Errors of a file store: those of its own, kinds of SQLite's, and the texts that `check` shows for all of them.

No text has a path or SQLite's own words.
"""

from __future__ import annotations

import sqlite3

from sidecar.core.errors import SidecarError
from sidecar.file_limit import WORDS as FILE_LIMIT
from sidecar.file_limit import is_file_limit


class FileError(SidecarError):
    """The file exists, but cannot be used here."""


class ForeignFileError(FileError):
    """It is the database of another program."""


class FileVersionError(FileError):
    """It was written by another version of this program."""


class SharedFileError(FileError):
    """Another user may change the file or its folder; the text says what to do and names no path."""


_BY_CODE = {
    sqlite3.SQLITE_BUSY: "another process kept the file locked for longer than SIDECAR_STORE_TIMEOUT_S",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened, or none created beside it: check the folder's permissions",
    sqlite3.SQLITE_CORRUPT: "the file is damaged: remove it and the files beside it, it is created again",
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_IOERR: "the disk is full or has errors",
    sqlite3.SQLITE_NOTADB: "the file is not a SQLite database: remove it, or use another path",
    sqlite3.SQLITE_PERM: "this user may not use the file",
    sqlite3.SQLITE_READONLY: "the file, its folder or its disk is read-only for this user",
}
_BY_CLASS: dict[type[Exception], str] = {
    FileVersionError: "the file is from another version of this program: remove it, it is created again",
    ForeignFileError: "the file is another program's database: use another path",
    FileNotFoundError: "its folder does not exist",
    NotADirectoryError: "its folder is not a folder",
    IsADirectoryError: "it is a folder, not a file",
    PermissionError: "this user may not create or use the file: check the folder's permissions",
    TimeoutError: "no response within SIDECAR_STORE_TIMEOUT_S: the disk is slow, or another process locks the file",
}


def is_busy(error: Exception) -> bool:
    """Whether another process held the lock for longer than this one could wait."""
    return _code_of(error) == sqlite3.SQLITE_BUSY


def could_not_open(error: Exception) -> bool:
    """Whether SQLite could not open a file; it does not say why."""
    return _code_of(error) == sqlite3.SQLITE_CANTOPEN


def words_for(error: Exception) -> str:
    """Return the text for an error; empty if there is nothing to add to its class."""
    if is_file_limit(error):
        return FILE_LIMIT
    if isinstance(error, SharedFileError):
        return str(error)
    return _BY_CODE.get(_code_of(error)) or _BY_CLASS.get(type(error), "")


def _code_of(error: Exception) -> int:
    """Return the part of SQLite's error code that names the kind (https://www.sqlite.org/rescode.html), or 0."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
