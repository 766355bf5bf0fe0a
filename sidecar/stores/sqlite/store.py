"""The shared state in one file, for the processes of one machine: it survives their restarts and the machine's.

Decisions are those of `decisions.py`, each in one short transaction that begins with the write lock. Operations that
only read take no lock, so they delay no other process.
"""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor, Future
from pathlib import Path
from queue import SimpleQueue
from typing import ParamSpec, TypeVar

from sidecar.core.errors import StoreError
from sidecar.core.model import MonotonicTime, Profile, Seconds
from sidecar.core.ports import Clock, SharedState
from sidecar.file_limit import cause_of, file_limit_error
from sidecar.stores.engine import DecisionEngine, EngineState
from sidecar.stores.sealing import Sealer
from sidecar.stores.sqlite.clock import MachineReadings, Readings
from sidecar.stores.sqlite.database import SqliteFile
from sidecar.stores.sqlite.errors import FileError, could_not_open, is_busy, words_for
from sidecar.stores.sqlite.records import LoadedRecord, drop, load

LOOKING = ("peek", "reject")
"""Operations that mostly change nothing: they read first, and take the lock only if there is something to write."""

P = ParamSpec("P")
T = TypeVar("T")


class SqliteStore:
    """One file, shared by all profiles of a process and by all processes of a machine.

    Work that may wait for a lock or a disk runs in one separate thread. `timeout_s` limits one operation, the wait for
    that thread included. An operation that is running when its caller gives up continues, which is harmless.
    """

    kind = "sqlite"

    def __init__(
        self, path: Path, *, timeout_s: Seconds, sealer: Sealer, clock: Clock, readings: Readings | None = None
    ) -> None:
        """Opens nothing yet. `readings` are this machine's unless a test passes others."""
        self._timeout_s = timeout_s
        self._sealer = sealer
        self._clock = clock
        self._readings = readings or MachineReadings(clock)
        self._file = SqliteFile(path)
        self._closed = False
        self._thread = OneThread("sqlite")

    def shared_state(self, profile: Profile) -> SharedState:
        async def run(operation: str, work: Callable[[DecisionEngine], T]) -> T:
            def decide(connection: sqlite3.Connection) -> T:
                if operation in LOOKING:
                    result, found = self._decide(connection, profile, work)
                    if not found.changed:
                        return result
                return self._decide_alone(connection, profile, work)

            return await self._run(operation, decide)

        return EngineState(run)

    async def ping(self) -> None:
        """Take the write lock and write the time."""
        no_profile = Profile(name="ping", base_url="")
        await self._run(
            "ping", lambda connection: self._decide_alone(connection, no_profile, lambda _: None, always=True)
        )

    async def forget(self, profile: Profile) -> None:
        """Remove what is stored for this profile."""
        await self._run("forget", lambda connection: drop(connection, profile))

    async def close(self) -> None:
        """Close the file after running work, or leave it to the end of the process: a disk may hang."""
        if self._closed:
            return
        self._closed = True
        closing = asyncio.get_running_loop().run_in_executor(self._thread, self._file.close)
        self._thread.shutdown()
        await asyncio.wait((closing,), timeout=self._timeout_s)

    async def _run(self, operation: str, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run the work in the thread. Raises `StoreError`."""
        if self._closed:
            raise StoreError(operation, "RuntimeError", "it was closed")
        deadline = time.monotonic() + self._timeout_s
        try:
            async with asyncio.timeout(self._timeout_s):
                # A cancellation removes the work from the queue: no caller waits for its claim any more.
                return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, work, deadline)
        except (sqlite3.Error, OSError, FileError) as error:
            raise StoreError(operation, cause_of(error), words_for(error)) from None

    def _work(self, work: Callable[[sqlite3.Connection], T], deadline: MonotonicTime) -> T:
        try:
            return work(self._file.connection(deadline))
        except (sqlite3.Error, OSError, FileError) as error:
            # Checked before files are closed.
            limit = file_limit_error() if could_not_open(error) else None
            if not is_busy(error):
                # Whatever the error was, the next operation opens the file again.
                self._file.close()
            if limit is not None:
                raise limit from None
            raise
        finally:
            self._file.rest()

    def _decide_alone(
        self,
        connection: sqlite3.Connection,
        profile: Profile,
        work: Callable[[DecisionEngine], T],
        *,
        always: bool = False,
    ) -> T:
        """Decide in one transaction that excludes other writers; `always`: save even if nothing changed."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            result, found = self._decide(connection, profile, work)
            if found.changed or always:
                found.save(connection)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        return result

    def _decide(
        self, connection: sqlite3.Connection, profile: Profile, work: Callable[[DecisionEngine], T]
    ) -> tuple[T, LoadedRecord]:
        found = load(connection, profile, self._sealer, self._readings)
        return work(DecisionEngine(found.record, profile, found.time.last_ms, self._clock.new_id)), found


class OneThread(Executor):
    """Runs one piece of work after the other, in a daemon thread that ends with `shutdown`.

    Unlike those of a `ThreadPoolExecutor`, the thread is not joined at the end of the process: a disk that hangs would
    keep the process from ending.
    """

    def __init__(self, name: str) -> None:
        self._queue: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Queue the work; if its future is cancelled before its turn, the work is not run."""
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                future.set_result(work(*args, **kwargs))
            except BaseException as error:  # noqa: BLE001 - raised where the future is awaited
                future.set_exception(error)

        if self._thread.ident is None:
            self._thread.start()
        self._queue.put(run)
        return future

    def shutdown(self, wait: bool = False, *, cancel_futures: bool = False) -> None:  # noqa: ARG002 - an executor's form
        """Let the thread end after the work that is queued. Does not wait for it."""
        self._queue.put(None)

    def _run(self) -> None:
        while (work := self._queue.get()) is not None:
            work()
