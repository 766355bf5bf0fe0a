"""A wall clock that is stepped while processes run; their monotonic clocks go on (libfaketime)."""

from __future__ import annotations

import ctypes.util
from collections.abc import Mapping
from pathlib import Path

DAY_S = 86_400
FOLDERS = ("/usr/lib/*/faketime", "/usr/lib64/faketime", "/usr/lib/faketime", "/usr/local/lib/faketime")


def faketime_library() -> Path:
    for folder in FOLDERS:
        for found in Path("/").glob(f"{folder[1:]}/libfaketimeMT.so.1"):
            return found
    raise RuntimeError("no libfaketime; Debian's package is faketime, others call it libfaketime")


class WallClock:
    """The wall clock of all processes that are started with `environ`."""

    def __init__(self, folder: Path) -> None:
        """The offset is kept in a file in `folder`, which must exist."""
        self._file = folder / "wall-clock"
        self.step(0)

    @property
    def environ(self) -> Mapping[str, str]:
        return {
            # libc comes second, so that its allocator is found before jemalloc's, which reads the time while it
            # starts, before libfaketime has.
            "LD_PRELOAD": f"{faketime_library()}:{ctypes.util.find_library('c')}",
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }

    def step(self, ahead_s: int) -> None:
        """Set the clock this much ahead of the machine's from now on; negative: behind."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{ahead_s:+d}")
        new.rename(self._file)
