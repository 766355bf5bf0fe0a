"""The thread that writes the log: in order, complete at the end, and without blocking callers."""

from __future__ import annotations

import errno
import io
import os
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TextIO

import pytest

from sidecar.telemetry import line_writer
from sidecar.telemetry.line_writer import MAX_QUEUED, LineStream, LineWriter

ENOUGH_S = 60
"""Only ends a test that would hang."""
LONG = "x" * 1000


def dropped_line(dropped: Mapping[LineStream, int]) -> str:
    return f"dropped {dropped['log']} {dropped['audit']}\n"


class Pipe:
    """A pipe that the test reads on request."""

    def __init__(self) -> None:
        reading, writing = os.pipe()
        self.reader = os.fdopen(reading, encoding="utf-8")
        self.stream: TextIO = os.fdopen(writing, "w", encoding="utf-8")

    def lines_until_dropped(self) -> Iterator[str]:
        for line in self.reader:
            yield line
            if line.startswith("dropped"):
                return

    def close(self) -> None:
        self.reader.close()
        self.stream.close()


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    opened = Pipe()
    yield opened
    opened.close()


def flooded(stream: TextIO | None) -> LineWriter:
    """Return a writer that got more lines than it and the pipe can hold."""
    writer = LineWriter(stream)
    writer.start(dropped_line)
    for number in range(MAX_QUEUED):
        writer.put("log", f"log {number} {LONG}\n")
        writer.put("audit", f"audit {number} {LONG}\n")
    return writer


def test_lines_of_log_and_audit_arrive_in_order_and_none_is_lost_at_the_end() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    writer.start(dropped_line)
    for number in range(1000):
        writer.put("log", f"log {number}\n")
        writer.put("audit", f"audit {number}\n")
    writer.close(ENOUGH_S)
    assert stream.getvalue() == "".join(f"log {number}\naudit {number}\n" for number in range(1000))
    assert writer.dropped == {"log": 0, "audit": 0}


def test_lines_that_come_soon_after_others_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise each line would wake the thread, which would take the interpreter from the event loop."""
    gathers, is_over, parts = threading.Event(), threading.Event(), list[str]()

    def gather() -> None:
        gathers.set()
        assert is_over.wait(ENOUGH_S)

    class Parts(io.StringIO):
        def write(self, text: str) -> int:
            parts.append(text)
            return len(text)

    monkeypatch.setattr(line_writer, "_gather", gather)
    writer = LineWriter(Parts())
    writer.start(dropped_line)
    writer.put("log", "first\n")
    assert gathers.wait(ENOUGH_S)
    writer.put("log", "second\n")
    writer.put("log", "third\n")
    is_over.set()
    writer.close(ENOUGH_S)
    assert parts == ["first\n", "second\nthird\n"]


def test_lines_from_before_the_start_are_written() -> None:
    stream = io.StringIO()
    writer = LineWriter(stream)
    writer.put("log", "early\n")
    writer.start(dropped_line)
    writer.close(ENOUGH_S)
    assert stream.getvalue() == "early\n"


def test_a_pipe_that_is_not_read_blocks_no_caller_and_dropped_lines_are_counted(pipe: Pipe) -> None:
    writer = flooded(pipe.stream)
    assert writer.dropped["log"] > 0
    assert writer.dropped["audit"] > 0


def test_the_end_does_not_wait_for_a_pipe_that_is_not_read(pipe: Pipe) -> None:
    flooded(pipe.stream).close(0)


def test_the_number_of_dropped_lines_is_written_once_when_the_pipe_is_read_again(pipe: Pipe) -> None:
    writer = flooded(pipe.stream)
    lines = list(pipe.lines_until_dropped())
    written = {stream: sum(line.startswith(stream) for line in lines) for stream in ("log", "audit")}
    assert lines[-1] == dropped_line(writer.dropped)
    assert {stream: MAX_QUEUED - count for stream, count in written.items()} == writer.dropped
    writer.put("log", "afterwards\n")
    writer.close(ENOUGH_S)
    pipe.stream.close()
    assert pipe.reader.readlines() == ["afterwards\n"]


def test_lines_for_a_closed_reader_are_counted_without_an_error(pipe: Pipe) -> None:
    pipe.reader.close()
    writer = LineWriter(pipe.stream)
    writer.start(dropped_line)
    writer.put("log", "one\n")
    writer.put("audit", "two\n")
    writer.close(ENOUGH_S)
    assert writer.dropped == {"log": 1, "audit": 1}


def test_lines_dropped_by_a_full_disk_are_reported_once_there_is_space() -> None:
    class Disk(io.StringIO):
        def __init__(self) -> None:
            super().__init__()
            self.full, self.tried = True, threading.Event()

        def write(self, text: str) -> int:
            if self.full:
                self.tried.set()
                raise OSError(errno.ENOSPC, "")
            return super().write(text)

    disk = Disk()
    writer = LineWriter(disk)
    writer.start(dropped_line)
    writer.put("audit", "lost\n")
    assert disk.tried.wait(ENOUGH_S)
    disk.full = False
    writer.put("audit", "kept\n")
    writer.close(ENOUGH_S)
    assert sorted(disk.getvalue().splitlines()) == ["dropped 0 1", "kept"]


@pytest.mark.parametrize("closed", [False, True])
def test_without_a_stream_every_line_is_counted_as_dropped(closed: bool, tmp_path: Path) -> None:
    stream = None
    if closed:
        stream = (tmp_path / "log").open("w", encoding="utf-8")
        stream.close()
    writer = LineWriter(stream)
    writer.start(dropped_line)
    writer.put("log", "one\n")
    writer.close(ENOUGH_S)
    assert writer.dropped == {"log": 1, "audit": 0}


def test_a_pipe_that_another_process_made_non_blocking_gets_every_line(pipe: Pipe) -> None:
    os.set_blocking(pipe.stream.fileno(), False)
    writer = LineWriter(pipe.stream)
    writer.start(dropped_line)
    for number in range(500):
        writer.put("log", f"{number} {LONG}\n")
    assert [pipe.reader.readline() for _ in range(500)] == [f"{number} {LONG}\n" for number in range(500)]
    writer.close(ENOUGH_S)
    assert writer.dropped["log"] == 0


def test_after_its_stream_was_closed_no_line_goes_to_another_file(pipe: Pipe, tmp_path: Path) -> None:
    """The next opened file gets the number of its descriptor."""
    writer = LineWriter(pipe.stream)
    writer.start(dropped_line)
    number = pipe.stream.fileno()
    pipe.stream.close()
    with (tmp_path / "next").open("w+", encoding="utf-8") as following:
        assert following.fileno() == number
        writer.put("log", "late\n")
        assert pipe.reader.readline() == "late\n"
        writer.close(ENOUGH_S)
        assert following.read() == ""


def test_a_character_that_cannot_be_encoded_loses_no_line(pipe: Pipe) -> None:
    writer = LineWriter(pipe.stream)
    writer.start(dropped_line)
    writer.put("log", "\ud800\n")
    assert pipe.reader.readline() == "\\ud800\n"
    writer.close(ENOUGH_S)
