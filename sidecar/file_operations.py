"""File operations in daemon threads: on a file system that hangs (dead NFS or FUSE, a frozen disk) one never returns.

A process that ends does not wait for daemon threads. It waits for those of executors, also of `asyncio.to_thread`.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Seconds

if TYPE_CHECKING:
    # Imported late elsewhere: a command that calls a sidecar reads files too, and has no event loop and no events.
    import asyncio

    from sidecar.core.ports import EventSink
    from sidecar.core.process_events import FileName, StalledFile

STALLED_AFTER_S: Seconds = 5

T = TypeVar("T")


class FileOperationError(Exception):
    """A file operation could not be started, or hangs."""


class FileHangsError(FileOperationError):
    """A file operation has not returned within `STALLED_AFTER_S`."""

    def __init__(self) -> None:
        super().__init__(f"not read within {STALLED_AFTER_S:g} s, the file system hangs")


class FileStalls:
    """The file operations of a process that hang now. Emits an event at the beginning and the end of each."""

    def __init__(self, sink: EventSink | None = None) -> None:
        """`sink` receives the events; None: no events."""
        self._sink = sink
        self._stalled: list[StalledFile] = []

    def __call__(self) -> Sequence[StalledFile]:
        return tuple(self._stalled)

    def begin(self, stalled: StalledFile) -> None:
        from sidecar.core.process_events import FileStalled

        self._stalled.append(stalled)
        if self._sink is not None:
            self._sink.emit(FileStalled(file=stalled.file, profile=stalled.profile))

    def end(self, stalled: StalledFile) -> None:
        from sidecar.core.process_events import FileStallEnded

        self._stalled.remove(stalled)
        if self._sink is not None:
            self._sink.emit(FileStallEnded(file=stalled.file, profile=stalled.profile))


def run_in_thread(work: Callable[[], T], on_end: Callable[[], None] = lambda: None) -> asyncio.Future[T]:
    """Run `work` in a daemon thread and return a future for its outcome. Cancelling the future does not end `work`.

    `on_end` is called in the event loop once `work` has returned. The future may also raise `FileOperationError`.
    """
    import asyncio

    loop = asyncio.get_running_loop()
    result: asyncio.Future[T] = loop.create_future()

    def end(set_result: Callable[[Any], None], outcome: object) -> None:
        on_end()
        if not result.cancelled():
            set_result(outcome)

    def run() -> None:
        try:
            outcome: tuple[Callable[[Any], None], object] = result.set_result, work()
        except BaseException as error:  # noqa: BLE001 - the loop raises it
            outcome = result.set_exception, error
        # RuntimeError: the loop is closed, so nothing waits for the result.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(end, *outcome)

    try:
        _start_thread(run)
    except FileOperationError as error:
        end(result.set_exception, error)
    return result


class FileOperations:
    """Runs the operations on one file, or on files that belong together: one at a time, each in a daemon thread.

    All calls must come from the thread of one running event loop.
    """

    def __init__(self, file: FileName, stalls: FileStalls, profile: str = "") -> None:
        from sidecar.core.process_events import StalledFile

        self._file = StalledFile(file, profile)
        self._stalls = stalls
        self.busy = False
        """Whether an operation has not returned. No second one starts then: it would hang as well."""
        self.stalled = False
        """Whether an operation has not returned within `STALLED_AFTER_S`."""

    def start(self, work: Callable[[], T]) -> asyncio.Future[T]:
        """Start `work` as `run_in_thread` does. Raises `RuntimeError` while `busy`."""
        import asyncio

        if self.busy:
            raise RuntimeError("one operation at a time")
        self.busy = True
        self._timer = asyncio.get_running_loop().call_later(STALLED_AFTER_S, self._stall)
        return run_in_thread(work, self._end)

    def _stall(self) -> None:
        self.stalled = True
        self._stalls.begin(self._file)

    def _end(self) -> None:
        self._timer.cancel()
        self.busy = False
        if self.stalled:
            self.stalled = False
            self._stalls.end(self._file)


class BackgroundReading(Generic[T]):
    """Holds the outcome of the last reading of a file, also while the next reading takes long."""

    def __init__(
        self,
        read: Callable[[], T],
        operations: FileOperations,
        *,
        keep: Callable[[T], T] = lambda found: found,
        on_end: Callable[[bool], None] = lambda _: None,
    ) -> None:
        """`keep` gets each result that differs from the last one, and returns it or an equal one.

        `on_end` is called after each background reading, with whether the outcome differs from the last one.
        """
        self._read = read
        self._operations = operations
        self._keep = keep
        self._on_end = on_end
        self._last: tuple[T] | Exception | None = None
        """A result or an exception; None until the first reading has ended."""
        self._under_way: asyncio.Future[T] | None = None

    def read_first(self) -> bool:
        """Read unless a reading has ended before; return whether it read. The outcome is in `latest`.

        Blocks for at most `STALLED_AFTER_S`. Raises `FileOperationError`.
        """
        if self._last is not None:
            return False
        self._take(read_in_time(lambda: _attempt(self._read)))
        return True

    def latest(self) -> T:
        """Return or raise the last reading's outcome. Raises `FileHangsError` before the first reading has ended."""
        if self._last is None:
            raise FileHangsError
        if isinstance(self._last, Exception):
            raise self._last.with_traceback(None)
        return self._last[0]

    def start(self) -> None:
        """Start a reading, unless one is under way."""
        if not self._operations.busy:
            self._under_way = self._operations.start(self._read)
            self._under_way.add_done_callback(self._end)

    async def read(self, wait_s: Seconds) -> T:
        """Read now, or join the reading under way; then return or raise as `latest` does.

        After `wait_s` the last outcome is used, if there is one. A stalled reading is not waited for.
        """
        import asyncio

        self.start()
        if self._under_way is not None and not self._operations.stalled:
            limit_s = STALLED_AFTER_S if self._last is None else min(wait_s, STALLED_AFTER_S)
            await asyncio.wait((self._under_way,), timeout=limit_s)
        return self.latest()

    def _end(self, reading: asyncio.Future[T]) -> None:
        if self._under_way is reading:  # else the next reading has started already
            self._under_way = None
        self._on_end(self._take(_attempt(reading.result)))

    def _take(self, outcome: tuple[T] | Exception) -> bool:
        """Store the outcome; return whether it differs from the last one."""
        last = self._last
        if isinstance(outcome, Exception):
            if type(outcome) is type(last) and str(outcome) == str(last):
                return False
            # The traceback's frames hold the content of the file.
            outcome.__traceback__ = outcome.__context__ = outcome.__cause__ = None
            self._last = outcome
        elif outcome == last:
            # The previous object is kept, so that a secret is in memory only once.
            return False
        else:
            self._last = (self._keep(outcome[0]),)
        return True


def read_in_time(read: Callable[[], T], limit_s: Seconds | None = None) -> T:
    """Return or raise what `read` does, in `limit_s` or `STALLED_AFTER_S`. Raises `FileOperationError`."""
    outcomes: SimpleQueue[tuple[T] | Exception] = SimpleQueue()
    _start_thread(lambda: outcomes.put(_attempt(read)))
    try:
        outcome = outcomes.get(timeout=STALLED_AFTER_S if limit_s is None else limit_s)
    except Empty:
        raise FileHangsError from None
    if isinstance(outcome, Exception):
        raise outcome
    return outcome[0]


def read_at_start(place: str, read: Callable[[], T]) -> T:
    """Like `read_in_time`, but raises `ConfigurationError` with `place` when the file hangs."""
    try:
        return read_in_time(read)
    except FileOperationError as error:
        raise ConfigurationError([f"{place}: {error}"]) from None


def _attempt(read: Callable[[], T]) -> tuple[T] | Exception:
    try:
        return (read(),)
    except Exception as error:  # noqa: BLE001 - raised in another thread
        return error


def _start_thread(run: Callable[[], None]) -> None:
    """Raises `FileOperationError`."""
    try:
        threading.Thread(target=run, name="file", daemon=True).start()
    except RuntimeError:
        raise FileOperationError("no thread can be started") from None
