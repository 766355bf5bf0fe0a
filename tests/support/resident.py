"""How much the memory of a process grows meanwhile, whether Python or C allocates it."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOOK_S = 0.002


class Growth:
    """`peak_bytes` is the largest growth over the memory at the start."""

    def __init__(self) -> None:
        self.peak_bytes = 0


def resident_bytes(pid: int | str = "self") -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


@contextmanager
def watched_memory(pid: int | str = "self") -> Iterator[Growth]:
    growth, before, over = Growth(), resident_bytes(pid), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_S):
            growth.peak_bytes = max(growth.peak_bytes, resident_bytes(pid) - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield growth
    finally:
        over.set()
        watcher.join()
