"""Checks whether another user of the machine may change the file store."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from sidecar.stores.sqlite.errors import SharedFileError

BESIDE = ("-journal", "-wal", "-shm")
"""Suffixes of the files that SQLite keeps beside a database, and applies to it."""

ROOT = 0


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
    if status.st_uid not in (user, ROOT):
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
