"""Writes log and audit lines in a thread of its own: a reader that is slow, or reads nothing, delays nothing else."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Mapping
from io import FileIO
from queue import SimpleQueue
from typing import Literal, Protocol, TextIO, TypeAlias

from sidecar.core.model import Seconds

LineStream: TypeAlias = Literal["log", "audit"]
"""What a line belongs to. Both go to the same place, in the order in which they were written."""

MAX_QUEUED = 4096
"""Lines that wait for the reader: about 1 MiB. As many wait again in the kernel, where it is a pipe."""
_MAX_AT_ONCE = 256
GATHER_S: Seconds = 0.01
"""How long lines are gathered before the next write, once all were written. Far less than `MAX_QUEUED` come in that
time."""


class LineOutput(Protocol):
    """Where lines go; any text stream is one."""

    def write(self, line: str, /) -> object:
        """Take one line with its line end."""
        ...


class LineWriter:
    """One queue of lines and the thread that writes them. `output` returns what lines are written to.

    Without room in the queue, and where the system refuses to write (closed pipe, full disk), lines are dropped and
    counted. How many is told in a line of its own, once all that waited has been written.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """`stream` is None where the process was started without one: every line is dropped."""
        self._stream = stream
        # Its `put` is safe in a destructor that interrupts another `put` of the same thread; a lock would hang there.
        self._queue: SimpleQueue[tuple[LineStream, str] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._dropped: dict[LineStream, int] = {"log": 0, "audit": 0}
        self._counting = threading.RLock()  # may be entered again, for the same reason
        self._told = dict(self._dropped)

    @property
    def dropped(self) -> Mapping[LineStream, int]:
        """The lines dropped since the start."""
        return self._dropped

    def output(self, stream: LineStream) -> LineOutput:
        return _Output(self, stream)

    def put(self, stream: LineStream, line: str) -> None:
        """Queue one line, from any thread; never blocks."""
        if self._queue.qsize() < MAX_QUEUED:
            self._queue.put((stream, line))
        else:
            self._drop(stream)

    def start(self, told: Callable[[Mapping[LineStream, int]], str]) -> None:
        """Begin to write; lines wait until then. `told` returns the line that says how many lines were dropped."""
        raw = _raw(self._stream)
        self._thread = threading.Thread(target=self._run, args=(raw, told), name="log", daemon=True)
        self._thread.start()

    def close(self, limit_s: Seconds) -> None:
        """Write what is queued; blocks, for `limit_s` at most. The thread of a reader that reads nothing is left."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(limit_s)

    def _run(self, raw: FileIO | TextIO | None, told: Callable[[Mapping[LineStream, int]], str]) -> None:
        ended = False
        while not ended:
            lines, ended = self._next()
            if not _written("".join(line for _, line in lines), raw):
                for stream, _ in lines:
                    self._drop(stream)
            if self._queue.empty():
                self._tell(raw, told)
                # A thread that is woken for each line takes the interpreter from the event loop each time.
                _gather()
        if isinstance(raw, FileIO):
            raw.close()

    def _drop(self, stream: LineStream) -> None:
        with self._counting:
            self._dropped[stream] += 1

    def _next(self) -> tuple[list[tuple[LineStream, str]], bool]:
        """Wait for lines; returns those there are, and whether they are the last."""
        lines: list[tuple[LineStream, str]] = []
        while not lines or (len(lines) < _MAX_AT_ONCE and not self._queue.empty()):
            line = self._queue.get()
            if line is None:
                return lines, True
            lines.append(line)
        return lines, False

    def _tell(self, raw: FileIO | TextIO | None, told: Callable[[Mapping[LineStream, int]], str]) -> None:
        dropped = dict(self._dropped)
        news = {stream: count - self._told[stream] for stream, count in dropped.items()}
        if any(news.values()) and _written(told(news), raw):
            self._told = dropped


class _Output:
    def __init__(self, writer: LineWriter, stream: LineStream) -> None:
        self._writer, self._stream = writer, stream

    def write(self, line: str, /) -> None:
        self._writer.put(self._stream, line)


def _gather() -> None:
    # `time.sleep` waits for an absolute time, which never comes where tests run the process under libfaketime.
    select.select((), (), (), GATHER_S)


def _raw(stream: TextIO | None) -> FileIO | TextIO | None:
    """Return the stream's file with a descriptor of its own; the stream itself where it has none (in memory).

    Past the stream, whose lock would be held for as long as nobody reads, while the end of the process flushes it. With
    a descriptor of its own, since a closed one's number is given to the next file or connection.
    """
    with contextlib.suppress(OSError, ValueError):
        return None if stream is None else FileIO(os.dup(stream.fileno()), "w")
    return stream


def _written(text: str, raw: FileIO | TextIO | None) -> bool:
    """Write it all; blocks. Returns whether that was possible: what cannot be logged stops no payment."""
    try:
        if isinstance(raw, FileIO):
            _write_all(raw, text.encode("utf-8", "backslashreplace"))
        elif raw is not None:
            raw.write(text)
    except (OSError, ValueError):
        return False
    return raw is not None


def _write_all(raw: FileIO, text: bytes) -> None:
    left = memoryview(text)
    while left:
        count = raw.write(left)
        if count is not None:
            left = left[count:]
            continue
        # Another process that shares the pipe or terminal made it non-blocking, and it is full.
        ready = select.poll()
        ready.register(raw, select.POLLOUT)
        ready.poll()
