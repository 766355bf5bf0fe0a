"""Files are checked repeatedly: at once on request, and after an unexpected error too."""

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
        """The number of readings, without the one at the start."""
        operations = FileOperations("seal-keys", FileStalls())
        self.file = WatchedFile("SETTING", path, self._read, lambda _: None, lambda _: None, operations)

    def _read(self, path: Path) -> int:
        self.count += 1
        # Each check finds a change.
        path.write_text("x" * (self.count + 2))
        if self.count == 1:
            raise KeyError("a bug")
        return self.count


async def test_checks_are_repeated_also_after_an_unexpected_error(tmp_path: Path) -> None:
    looks, sink = Looks(tmp_path / "file"), ListSink()
    task = asyncio.create_task(looks.file.watch(0.001, sink))
    await until(lambda: looks.count > 2)
    task.cancel()
    (event,) = sink.of(InternalFailure)
    assert "KeyError" in event.trace
    assert "a bug" not in event.trace


async def test_a_requested_check_is_made_at_once(tmp_path: Path) -> None:
    looks = Looks(tmp_path / "file")
    task = asyncio.create_task(looks.file.watch(2 * HANG_S, ListSink()))
    looks.file.look_now()
    await until(lambda: looks.count == 1)
    looks.file.look_now()
    await until(lambda: looks.count == 2)
    task.cancel()
