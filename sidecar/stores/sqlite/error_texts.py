"""Error texts of `check` for a file that cannot be used, without a path or SQLite's own text."""

from __future__ import annotations

import sqlite3

from sidecar.file_limit import WORDS as FILE_LIMIT
from sidecar.file_limit import is_file_limit
from sidecar.stores.sqlite.database import PRIMARY_CODE
from sidecar.stores.sqlite.errors import FileVersionError, ForeignFileError, SharedFileError

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


def words_for(error: Exception) -> str:
    """Return the text for an error; empty if there is nothing to add to its class."""
    if is_file_limit(error):
        return FILE_LIMIT
    if isinstance(error, SharedFileError):
        return str(error)
    code = getattr(error, "sqlite_errorcode", None)
    return _BY_CLASS.get(type(error), "") if code is None else _BY_CODE.get(code & PRIMARY_CODE, "")
