"""Credentials read off the event loop: a call to a file system that hangs (dead NFS or FUSE) may never return."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from sidecar.core.errors import CredentialsError
from sidecar.core.model import Credentials, Moment, Seconds
from sidecar.core.ports import Clock, CredentialsSource

STALLED_AFTER_S: Seconds = 5
THREAD_NAME = "credentials"


class BackgroundCredentials:
    """A `CredentialsSource` that returns what the last reading of another one gave, and starts the next reading.

    Readings take place in a daemon thread, one at a time; nothing waits for them but the first call. All calls have to
    come from the thread of one event loop, which runs from the second call on.
    """

    def __init__(
        self,
        inner: CredentialsSource,
        clock: Clock,
        place: str,
        *,
        keep: Callable[[Credentials], Credentials] = lambda found: found,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        """`place` is named in errors. `keep` gets each pair that differs from the last, and returns it or an equal one.

        `on_change` is called in the event loop when `read` has something else to say than before, except after the
        first reading.
        """
        self._inner = inner
        self._clock = clock
        self._place = place
        self._keep = keep
        self._on_change = on_change
        self._results: SimpleQueue[Credentials | str] = SimpleQueue()
        self._started_at: Moment | None = None
        """None while no reading is under way."""
        self._last: Credentials | str | None = None
        """A pair, or what is wrong; None before the first reading has ended."""

    def read(self) -> Credentials:
        """Raises `CredentialsError`, also while a reading takes longer than `STALLED_AFTER_S`."""
        self._take()
        if self._started_at is None:
            # The first reading is waited for, so nobody has to be told of it.
            self._start(None if self._last is None else asyncio.get_running_loop())
        if self._last is None:
            self._take(STALLED_AFTER_S)
        if self._last is None or self._stalled():
            raise CredentialsError(f"{self._place}: not read within {STALLED_AFTER_S:g} s, the file system hangs")
        if isinstance(self._last, str):
            raise CredentialsError(self._last)
        return self._last

    def _stalled(self) -> bool:
        return self._started_at is not None and self._clock.monotonic() - self._started_at >= STALLED_AFTER_S

    def _start(self, loop: asyncio.AbstractEventLoop | None) -> None:
        def work() -> None:
            result: Credentials | str = f"{self._place}: the reading failed"
            try:
                result = self._inner.read()
            except CredentialsError as error:
                result = str(error)
            finally:
                self._results.put(result)
                if loop is not None:
                    # RuntimeError: the loop is closed, so nobody wants to know.
                    with contextlib.suppress(RuntimeError):
                        loop.call_soon_threadsafe(self._end)

        self._started_at = self._clock.monotonic()
        try:
            threading.Thread(target=work, name=THREAD_NAME, daemon=True).start()
        except RuntimeError:
            self._results.put(f"{self._place}: no thread can be started")

    def _end(self) -> None:
        stalled = self._stalled()
        if self._take() or stalled:
            self._on_change()

    def _take(self, wait_s: Seconds = 0) -> bool:
        """Take over the result of a reading that has ended; whether it differs from the last one."""
        try:
            result = self._results.get(timeout=wait_s) if wait_s else self._results.get_nowait()
        except Empty:
            return False
        self._started_at = None
        if result == self._last:
            # The pair of before is kept: one copy of a secret in memory is enough.
            return False
        self._last = result if isinstance(result, str) else self._keep(result)
        return True
