"""File operations on a file system that hangs: no caller waits for them, and a stall and its end are reported."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from sidecar import file_operations
from sidecar.core.process_events import FileStalled, FileStallEnded, StalledFile
from sidecar.file_operations import (
    BackgroundReading,
    FileHangsError,
    FileOperationError,
    FileOperations,
    FileStalls,
    read_in_time,
)
from tests.support.held_reading import HeldReading
from tests.support.replica import HANG_S, until
from tests.support.sink import ListSink

HANGS = r"not read within 0\.01 s, the file system hangs"


class Watched:
    """One file's operations, and the reports about them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.sink = ListSink()
        self.stalls = FileStalls(self.sink)
        self.operations = FileOperations("seal-keys", self.stalls, "p")
        self.held = HeldReading[str]("first")
        self.reading = BackgroundReading(self.held, self.operations)

    async def hang(self) -> None:
        """Start a reading that hangs, and wait until that is reported."""
        self.stall_soon()
        self.held.answers.clear()
        self.reading.start()
        await until(lambda: self.operations.stalled)

    def stall_soon(self) -> None:
        self._monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    """Operations with a stall time that a busy machine does not reach."""
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", HANG_S)
    found = Watched(monkeypatch)
    yield found
    found.held.answers.set()


def refuse_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)


async def test_an_operation_runs_in_a_daemon_thread_and_gives_its_result_or_its_exception(watched: Watched) -> None:
    assert await watched.operations.start(watched.held) == "first"
    watched.held.now = ValueError("odd")
    with pytest.raises(ValueError, match="odd"):
        await watched.operations.start(watched.held)
    assert all(thread.daemon and thread is not threading.current_thread() for thread in watched.held.threads)
    assert watched.sink.events == []


async def test_a_stall_and_its_end_are_reported_once(watched: Watched) -> None:
    await watched.hang()
    assert watched.stalls() == (StalledFile("seal-keys", "p"),)
    assert watched.sink.events == [FileStalled(file="seal-keys", profile="p")]
    watched.held.answers.set()
    await until(lambda: not watched.operations.busy)
    assert watched.stalls() == ()
    assert watched.sink.events[1:] == [FileStallEnded(file="seal-keys", profile="p")]


async def test_while_an_operation_hangs_no_second_one_is_started(watched: Watched) -> None:
    await watched.hang()
    watched.reading.start()
    with pytest.raises(RuntimeError):
        watched.operations.start(watched.held)
    assert watched.held.calls == 1


async def test_a_cancelled_wait_leaves_the_operation_to_its_end(watched: Watched) -> None:
    watched.held.answers.clear()
    result = watched.operations.start(watched.held)
    result.cancel()
    assert watched.operations.busy
    watched.held.answers.set()
    await until(lambda: not watched.operations.busy)


async def test_the_result_of_an_operation_after_the_end_of_the_loop_is_ignored(watched: Watched) -> None:
    def run() -> None:
        async def start() -> None:
            watched.held.answers.clear()
            watched.operations.start(watched.held)

        asyncio.run(start())

    await asyncio.to_thread(run)
    watched.held.answers.set()
    for thread in watched.held.threads:
        await asyncio.to_thread(thread.join)


async def test_a_missing_thread_is_an_error(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_threads(monkeypatch)
    for attempt in (watched.operations.start(watched.held), watched.reading.read(HANG_S)):
        with pytest.raises(FileOperationError, match="no thread can be started"):
            await attempt
    with pytest.raises(FileOperationError, match="no thread can be started"):
        read_in_time(watched.held)
    assert not watched.operations.busy


async def test_a_background_reading_returns_the_present_content(watched: Watched) -> None:
    assert await watched.reading.read(HANG_S) == "first"
    watched.held.now = "second"
    assert await watched.reading.read(HANG_S) == "second"
    watched.held.now = OSError("gone")
    with pytest.raises(OSError, match="gone"):
        await watched.reading.read(HANG_S)


async def test_callers_wait_for_a_reading_that_starts_right_after_another(watched: Watched) -> None:
    """Also where the result of the previous one has not been stored yet."""
    started: list[int] = []

    class Hasty(FileOperations):
        def _end(self) -> None:
            super()._end()
            if not started:
                started.append(1)
                watched.held.answers.clear()
                watched.held.now = "second"
                reading.start()

    reading = BackgroundReading(watched.held, Hasty("seal-keys", watched.stalls))
    assert await reading.read(HANG_S) == "first"
    second = asyncio.create_task(reading.read(HANG_S))
    await asyncio.sleep(0)
    watched.held.answers.set()
    assert await second == "second"
    assert watched.held.calls == 2


async def test_while_a_reading_hangs_the_previous_content_stays_in_use(watched: Watched) -> None:
    assert await watched.reading.read(HANG_S) == "first"
    watched.held.now = "second"
    await watched.hang()
    assert await watched.reading.read(HANG_S) == "first"
    watched.held.answers.set()
    await until(lambda: not watched.operations.busy)
    assert watched.reading.latest() == "second"


async def test_before_the_end_of_the_first_reading_there_is_no_result(watched: Watched) -> None:
    await watched.hang()
    with pytest.raises(FileHangsError, match=HANGS):
        await watched.reading.read(HANG_S)
    with pytest.raises(FileHangsError, match=HANGS):
        watched.reading.latest()


async def test_an_unchanged_result_is_the_same_object_and_is_kept_once(watched: Watched) -> None:
    kept: list[list[str]] = []

    def keep(found: list[str]) -> list[str]:
        kept.append(found)
        return found

    changes: list[bool] = []
    reading = BackgroundReading(lambda: ["same"], watched.operations, keep=keep, on_end=changes.append)
    first = await reading.read(HANG_S)
    assert await reading.read(HANG_S) is first
    assert kept == [first]
    assert changes == [True, False]


async def test_a_kept_exception_has_no_reference_to_the_content(watched: Watched) -> None:
    def read() -> str:
        content = "of the file"
        try:
            return str(int(content))
        except ValueError:
            raise OSError("odd") from None

    with pytest.raises(OSError, match="odd") as caught:
        await BackgroundReading(read, watched.operations).read(HANG_S)
    assert caught.value.__context__ is None
    assert all("content" not in entry.frame.f_locals for entry in caught.traceback)


async def test_a_hanging_reading_at_the_start_is_given_up(watched: Watched) -> None:
    watched.held.answers.clear()
    watched.stall_soon()
    with pytest.raises(FileHangsError, match=HANGS):
        read_in_time(watched.held)
    assert all(thread.daemon for thread in watched.held.threads)
