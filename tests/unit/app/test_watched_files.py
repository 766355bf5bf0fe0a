"""Files are looked at again and again: at once when asked, and after a bug too."""

from __future__ import annotations

import asyncio
from pathlib import Path

from sidecar.app.watched_files import WatchedFile
from sidecar.core.events import InternalFailure
from sidecar.file_operations import FileOperations, FileStalls
from tests.support.replica import HANG_S, until
from tests.support.sink import ListSink


class Looks:
    """The readings of one file."""

    def __init__(self, path: Path) -> None:
        self.count = -1
        """Without the reading at the start."""
        operations = FileOperations("seal-keys", FileStalls())
        self.file = WatchedFile("SETTING", path, self._read, lambda _: None, lambda _: None, operations)

    def _read(self, path: Path) -> int:
        self.count += 1
        # Each look finds a change.
        path.write_text("x" * (self.count + 2))
        if self.count == 1:
            raise KeyError("a bug")
        return self.count


async def test_a_look_is_made_again_and_again_also_after_a_bug(tmp_path: Path) -> None:
    looks, sink = Looks(tmp_path / "file"), ListSink()
    task = asyncio.create_task(looks.file.watch(0.001, sink))
    await until(lambda: looks.count > 2)
    task.cancel()
    (event,) = sink.of(InternalFailure)
    assert "KeyError" in event.trace
    assert "a bug" not in event.trace


async def test_a_look_is_made_at_once_when_it_is_asked_for(tmp_path: Path) -> None:
    looks = Looks(tmp_path / "file")
    task = asyncio.create_task(looks.file.watch(2 * HANG_S, ListSink()))
    looks.file.look_now()
    await until(lambda: looks.count == 1)
    looks.file.look_now()
    await until(lambda: looks.count == 2)
    task.cancel()
