"""Finds token files that are not written any more: those of profiles that were removed from the settings.

Their tokens are not refreshed. The files are reported and not removed: another sidecar may write them.
"""

from __future__ import annotations

import contextlib
import os
import re
import stat
from collections.abc import Collection, Iterator
from pathlib import Path

from sidecar.token_file_sink.token_file import MODE

_MAX_TOKEN_BYTES = 16 * 1024
_TOKEN = re.compile(rb"[!-~]+")
"""The content of a token file: visible ASCII, no line break."""


def leftovers(files: Collection[Path], others: Collection[Path]) -> list[str]:
    """Return a sentence for each file in the folders of `files` that looks like a token file and is not in `files`.

    `others` are known to be other files. Blocks for the disk.
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
