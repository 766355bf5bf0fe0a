"""Kinds of paths that are no regular files."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ODD = {
    "folder": "a directory",
    "link": "a symbolic link to other",
    "dangling-link": "a symbolic link to nothing-there",
    "link-to-device": "a symbolic link to /dev/null",
    "link-to-stdout": "a symbolic link to /proc/self/fd/1",
    "fifo": "a FIFO",
    "socket": "a socket",
}
"""The program's term for each kind."""


@contextmanager
def make_odd(kind: str, path: Path) -> Iterator[None]:
    """Have this kind of `ODD` at the path while the block runs. The folder must exist."""
    match kind:
        case "folder":
            path.mkdir()
        case "link":
            path.with_name("other").write_text("untouched")
            path.symlink_to("other")
        case "dangling-link":
            path.symlink_to("nothing-there")
        case "link-to-device":
            path.symlink_to("/dev/null")
        case "link-to-stdout":
            path.symlink_to("/proc/self/fd/1")
        case "fifo":
            os.mkfifo(path)
        case _:
            with socket.socket(socket.AF_UNIX) as bound:
                # By a short name: the address of a socket has at most 107 bytes.
                folder = os.open(path.parent, os.O_RDONLY)
                bound.bind(f"/proc/self/fd/{folder}/{path.name}")
                os.close(folder)
    yield
