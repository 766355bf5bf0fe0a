"""Refuses two profiles that would write their tokens to one file, also under different paths."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeAlias

from sidecar.config import schema
from sidecar.config.settings import ProfileSettings
from sidecar.config.sources import Findings
from sidecar.file_operations import FileOperationError, read_in_time

_Identity: TypeAlias = tuple[object, ...]


def refuse_shared_token_files(profiles: Iterable[ProfileSettings], findings: Findings) -> None:
    """Report each two profiles whose token files are the same file, with the settings of both."""
    named = [(one, path, _identities_in_time(path)) for one in profiles if (path := one.sink_file) is not None]
    for (first, path, found), (second, other, others) in itertools.combinations(named, 2):
        if found & others:
            names = f"{first.profile.name} and {second.profile.name}"
            where = f"{path}"
            if path != other:
                where += f" ({first.sink_file_origin}), which is {other} ({second.sink_file_origin})"
            findings.problem(
                f"profiles {names} would keep their tokens in one file, {where}: "
                f"set another {schema.SINK_FILE.key} in each table"
            )


def _identities_in_time(path: Path) -> set[_Identity]:
    try:
        return read_in_time(lambda: set(_identities(path)))
    except FileOperationError:
        # The file system hangs. The start reports it when it checks the path.
        return {(os.path.normpath(path.parent), path.name)}


def _identities(path: Path) -> Iterator[_Identity]:
    """Yield a path's identities. Two paths with a common identity lead to the same file.

    The folder's device and inode are the same through links and mounts. Those of the file are the same under names that
    differ in case, on a file system that ignores case.
    """
    yield (os.path.realpath(path.parent), path.name)
    try:
        folder = path.parent.stat()
        yield ("folder", folder.st_dev, folder.st_ino, path.name)
        file = path.lstat()
        yield ("file", file.st_dev, file.st_ino)
    except OSError:
        return
