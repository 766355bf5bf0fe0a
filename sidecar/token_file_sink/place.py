"""Checks the path of a token file and what else is in its folder.

A rename replaces a file of any kind: `/dev/stdout`, a link, would be lost for the whole machine. So only a regular file
is replaced or removed.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from sidecar.core.errors import ConfigurationError

MODE = 0o640
"""Set at each write, independent of the umask. An app that runs as another user reads the file by its group."""

_MAX_TOKEN_BYTES = 16 * 1024
_TOKEN = re.compile(rb"[!-~]+")
"""The content of a token file: visible ASCII, no line break."""
_KINDS = (
    (stat.S_ISLNK, "a symbolic link"),
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_MOUNTS = Path("/proc/self/mountinfo")
"""https://man7.org/linux/man-pages/man5/proc_pid_mountinfo.5.html"""
_MOUNT_POINT_FIELD = 4
_OCTAL = re.compile(rb"\\([0-7]{3})")


class NotRegularError(OSError):
    """The path of the token file is not a regular file."""


def refuse_place(path: Path, origin: str) -> None:
    """Raise `ConfigurationError` when no token file can be kept at `path`; `origin` names the setting."""
    if problem := _problem(path):
        raise ConfigurationError([f"{origin}: {problem}"])


def require_regular(path: Path) -> os.stat_result | None:
    """Return the status of the regular file at `path`; None when nothing exists there.

    Raises `NotRegularError`, `OSError`.
    """
    try:
        status = path.lstat()
    except FileNotFoundError:
        return None
    if not stat.S_ISREG(status.st_mode):
        raise NotRegularError(errno.EEXIST, "not a regular file", str(path))
    return status


def _problem(path: Path) -> str:
    """Return the problem with `path`; empty when there is none."""
    # An error here is an error of the folder, which is checked below.
    with contextlib.suppress(OSError):
        if kind := _kind(path.lstat().st_mode):
            target = f" to {path.readlink()}" if path.is_symlink() else ""
            return f"{path} is {kind}{target}, and must be a regular file, there or not"
    if _is_mount_point(path):
        return f"{path} is a mount point, which cannot be replaced: mount its folder, {path.parent}, instead"
    if not os.access(path.parent, os.W_OK | os.X_OK):
        return f"{path.parent} must be a directory that user {os.geteuid()} may write to"
    return ""


def _kind(mode: int) -> str:
    return next((kind for is_kind, kind in _KINDS if is_kind(mode)), "")


def _is_mount_point(path: Path) -> bool:
    """Return whether a file system or a single file is mounted at `path`; False where that is unknown (not Linux).

    A mounted file may be on the same device as its folder, so `os.path.ismount` does not detect it.
    """
    place = os.fsencode(Path(os.path.realpath(path.parent)) / path.name)
    try:
        lines = _MOUNTS.read_bytes().splitlines()
    except OSError:
        return False
    return any(_unescaped(line.split(b" ")[_MOUNT_POINT_FIELD]) == place for line in lines)


def _unescaped(field: bytes) -> bytes:
    return _OCTAL.sub(lambda found: bytes([int(found[1], 8)]), field)


def leftovers(files: Collection[Path], others: Collection[Path]) -> list[str]:
    """Return a sentence for each file in the folders of `files` that looks like a token file and is not in `files`.

    It may be the file of a profile that was removed from the settings: its token is not refreshed. Such a file is not
    removed, because another sidecar may write it. `others` are known to be other files. Blocks for the disk.
    """
    known = set(_identities([*files, *others]))
    folders: dict[tuple[int, int], Path] = {}
    for path in files:
        if (found := _status(path.parent)) is not None:
            folders.setdefault((found.st_dev, found.st_ino), path.parent)
    return [
        f"{path} looks like the token file of a profile that is gone: if no sidecar writes it, remove it"
        for folder in folders.values()
        for path in _token_files(folder)
        if not known.intersection(_identities([path]))
    ]


def _token_files(folder: Path) -> Iterator[Path]:
    with contextlib.suppress(OSError):
        for path in sorted(folder.iterdir()):
            with contextlib.suppress(OSError):
                if _is_token_file(path):
                    yield path


def _is_token_file(path: Path) -> bool:
    """Return whether owner, mode, size and content are those of a token file of ours. Raises `OSError`."""
    found = path.lstat()
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) != MODE:
        return False
    if not 0 < found.st_size <= _MAX_TOKEN_BYTES:
        return False
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        return _TOKEN.fullmatch(file.read(_MAX_TOKEN_BYTES)) is not None


def _identities(paths: Collection[Path]) -> Iterator[tuple[int, int]]:
    for path in paths:
        # The target of a link is known, too.
        for found in (_status(path), _status(path, follow=False)):
            if found is not None:
                yield found.st_dev, found.st_ino


def _status(path: Path, *, follow: bool = True) -> os.stat_result | None:
    try:
        return path.stat(follow_symlinks=follow)
    except OSError:
        return None
