"""Writes log and audit lines in its own thread, so that a reader that is slow or stopped delays nothing else.

Keeps output outside the log (errors, the demo's text) from waiting for a reader that has stopped reading.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable, Mapping
from io import FileIO
from queue import SimpleQueue
from typing import Literal, TextIO, TypeAlias

from sidecar.core.model import Seconds

LineStream: TypeAlias = Literal["log", "audit"]
"""The stream of a line. Both streams have the same output and keep the order in which lines were written."""

DroppedLine: TypeAlias = Callable[[Mapping[LineStream, int]], str]
"""Returns the line, with its line end, that reports the numbers of dropped lines."""

MAX_QUEUED = 4096
"""The most lines that wait for the reader, about 1 MiB. A pipe holds about as many again in the kernel."""
_MAX_AT_ONCE = 256
GATHER_S: Seconds = 0.01
"""The time to gather lines before the next write, once the queue is empty. Far fewer than `MAX_QUEUED` arrive in it."""


class LineWriter:
    """One queue of lines and the thread that writes them.

    Lines are dropped and counted when the queue is full or the system cannot write them (closed pipe, full disk).
    A separate line gives the number of dropped lines once the queue has been written.
    """

    def __init__(self, stream: TextIO | None) -> None:
        """`stream` is None when the process was started without one; then every line is dropped."""
        self._stream = stream
        # Its `put` is reentrant: a destructor may interrupt a `put` of the same thread, where a lock would hang.
        self._queue: SimpleQueue[tuple[LineStream, str] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._dropped: dict[LineStream, int] = {"log": 0, "audit": 0}
        self._counting = threading.RLock()  # reentrant for the same reason
        self._reported = dict(self._dropped)

    @property
    def dropped(self) -> Mapping[LineStream, int]:
        """The lines dropped since the start."""
        return self._dropped

    def put(self, stream: LineStream, line: str) -> None:
        """Queue one line with its line end, from any thread; never blocks."""
        if self._queue.qsize() < MAX_QUEUED:
            self._queue.put((stream, line))
        else:
            self._drop(stream)

    def start(self, dropped_line: DroppedLine) -> None:
        """Start writing; lines wait until then."""
        raw = _raw(self._stream)
        self._thread = threading.Thread(target=self._run, args=(raw, dropped_line), name="log", daemon=True)
        self._thread.start()

    def close(self, limit_s: Seconds) -> None:
        """Write the queue. Blocks for at most `limit_s`; a thread whose reader has stopped keeps running."""
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(limit_s)

    def _run(self, raw: FileIO | TextIO | None, dropped_line: DroppedLine) -> None:
        ended = False
        while not ended:
            lines, ended = self._next()
            if not _written("".join(line for _, line in lines), raw):
                for stream, _ in lines:
                    self._drop(stream)
            if self._queue.empty():
                self._report_dropped(raw, dropped_line)
                # Waking the thread for each line would take the interpreter from the event loop each time.
                _gather()
        if isinstance(raw, FileIO):
            raw.close()

    def _drop(self, stream: LineStream) -> None:
        with self._counting:
            self._dropped[stream] += 1

    def _next(self) -> tuple[list[tuple[LineStream, str]], bool]:
        """Wait for lines; return those in the queue, and whether they are the last."""
        lines: list[tuple[LineStream, str]] = []
        while not lines or (len(lines) < _MAX_AT_ONCE and not self._queue.empty()):
            line = self._queue.get()
            if line is None:
                return lines, True
            lines.append(line)
        return lines, False

    def _report_dropped(self, raw: FileIO | TextIO | None, dropped_line: DroppedLine) -> None:
        dropped = dict(self._dropped)
        news = {stream: count - self._reported[stream] for stream, count in dropped.items()}
        if any(news.values()) and _written(dropped_line(news), raw):
            self._reported = dropped


def _gather() -> None:
    # `time.sleep` waits for an absolute time, which is never reached when tests run the process under libfaketime.
    select.select((), (), (), GATHER_S)


def _raw(stream: TextIO | None) -> FileIO | TextIO | None:
    """Return the stream's file with its own descriptor; the stream itself when it has none (in memory).

    The stream is bypassed: its lock would be held while the reader reads nothing, and the end of the process flushes
    the stream. The descriptor is a copy, because a closed one's number is given to the next file or connection.
    """
    with contextlib.suppress(OSError, ValueError):
        return None if stream is None else FileIO(os.dup(stream.fileno()), "w")
    return stream


def _written(text: str, raw: FileIO | TextIO | None) -> bool:
    """Write the whole text; blocks. Return whether that succeeded: a failed log write must not stop a payment."""
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


def takes_a_line(stream: TextIO | None, within_s: Seconds = 0) -> bool:
    """Return whether a line of up to 4096 bytes can be written within `within_s` without blocking (pipe(7)).

    True for a stream without a descriptor, and for a pipe without a reader: writing to that fails at once.
    """
    if stream is None:
        return False
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return True
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    return bool(ready.poll(within_s * 1000))
