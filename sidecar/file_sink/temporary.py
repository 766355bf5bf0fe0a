"""Temporary files in the folder of a token file. Each write has its own; those of ended processes are removed.

The writer holds a lock (flock) on its temporary file, and the kernel releases it when the process ends. So a file that
can be locked has no writer. This also works where processes cannot see each other, as in the containers of a pod. If
the file system has no locks, nothing is removed.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def temporary_beside(path: Path, mode: int) -> Iterator[tuple[Path, int]]:
    """Create a locked, empty file in the folder of `path`, and yield its path and a descriptor open for writing.

    The file is removed at the end, unless it was renamed. Raises `OSError`.
    """
    temporary, descriptor = _made(path, mode)
    try:
        yield temporary, descriptor
    finally:
        with contextlib.suppress(OSError):
            temporary.unlink()
        os.close(descriptor)


def remove_abandoned(path: Path) -> None:
    """Remove the temporary files of `path` that no running process writes. Ignores errors."""
    pattern = re.compile(rf"\.{re.escape(path.name)}\.[0-9a-f]{{16}}\.tmp")
    with contextlib.suppress(OSError):
        for other in path.parent.iterdir():
            if pattern.fullmatch(other.name):
                with contextlib.suppress(OSError):
                    _remove_unlocked(other)


def _made(path: Path, mode: int) -> tuple[Path, int]:
    while True:
        # In the same folder, because a file cannot be renamed to another file system.
        temporary = path.parent / f".{path.name}.{secrets.token_hex(8)}.tmp"
        # O_EXCL: only a new file is opened, and a planted link is not followed.
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        # Another process may have found the file before it was locked, and removed it.
        if os.fstat(descriptor).st_nlink:
            return temporary, descriptor
        os.close(descriptor)


def _remove_unlocked(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    finally:
        os.close(descriptor)
