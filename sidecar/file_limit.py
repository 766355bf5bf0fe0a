"""Detects failures with one common cause: this process, or the system, may open no more files."""

from __future__ import annotations

import errno
import os

WORDS = "no more files may be opened by this process or on this machine: raise RLIMIT_NOFILE, or see what opens so many"
"""The explanation in messages."""
_LIMITS = (errno.EMFILE, errno.ENFILE)


def is_file_limit(error: BaseException) -> bool:
    return isinstance(error, OSError) and error.errno in _LIMITS


def cause_of(error: BaseException) -> str:
    """Name an error for the log: `EMFILE` or `ENFILE` where no more files may be opened, else the error's class."""
    if isinstance(error, OSError) and error.errno in _LIMITS:
        return errno.errorcode[error.errno]
    return type(error).__name__


def file_limit_error() -> OSError | None:
    """Return the error of opening any file now when a limit is reached, else None.

    For libraries that report another error then: `getaddrinfo` reports that there is no such name, and SQLite that it
    cannot open a database.
    """
    try:
        os.close(os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC))
    except OSError as error:
        return error if is_file_limit(error) else None
    return None
