"""An event loop on virtual time: when no callback is ready, time moves at once to the next timer.

It has no selector, no sockets and no threads, and its handles have no debug data: a turn takes less than a microsecond.
Callbacks run in the order in which the loops of asyncio run them: all that are ready, in turn; then those that became
ready; timers by their time, and those of the same time in the order of their heap.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
from collections import deque
from collections.abc import Callable

TICKS_PER_S = 1_000_000
"""Time is counted in whole microseconds: a sum of many fractions would be off by some."""
TICK_S = 1 / TICKS_PER_S
RESOLUTION_S = 1e-9
"""A timer that is this close is due."""
SWEPT_FROM = 100
"""Fewer timers than these are not looked through for cancelled ones."""


class Call(asyncio.TimerHandle):
    """A callback that is to run. It has the methods of `asyncio.TimerHandle`, but not its data."""

    __slots__ = ("args", "at_s", "callback", "context", "is_cancelled", "waits_in")

    def __init__(  # pylint: disable=super-init-not-called
        self, at_s: float, callback: Callable[..., object], args: tuple[object, ...], context: contextvars.Context
    ) -> None:
        self.at_s = at_s
        self.callback = callback
        self.args = args
        self.context = context
        self.is_cancelled = False
        self.waits_in: VirtualLoop | None = None
        """The loop that has it among its timers."""

    def cancel(self) -> None:
        if not self.is_cancelled:
            self.is_cancelled = True
            # It may stay among the timers for long; the objects that it would use need not.
            self.callback, self.args = _nothing, ()
            if self.waits_in is not None:
                self.waits_in.cancelled_timers += 1

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self.at_s

    def __lt__(self, other: object) -> bool:
        """Compare timers by their time only: those of the same time are equal."""
        return False

    __eq__ = object.__eq__
    __hash__ = object.__hash__
    __repr__ = object.__repr__


def _nothing() -> None:
    """Run instead of a cancelled call."""


class VirtualLoop(asyncio.BaseEventLoop):
    """`asyncio.sleep`, `asyncio.timeout` and `call_later` all run on virtual seconds since the loop was made.

    Running it raises `RuntimeError` once no callback is ready and no timer is left.
    """

    def __init__(self) -> None:
        self._runs = self._ends = False
        super().__init__()
        self._ticks = 0
        self.now_s = 0.0
        """The same as `time()`, for callers that read it half a million times."""
        self._due: deque[Call] = deque()
        self._timers: list[tuple[float, Call]] = []
        self.cancelled_timers = 0
        """Since the last sweep, less those that were first: asyncio counts no better, and when it sweeps decides about
        the order of timers at one moment."""

    # -- what asyncio calls -------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now_s

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        call = Call(0, callback, args, contextvars.copy_context() if context is None else context)
        self._due.append(call)
        return call

    def call_soon_threadsafe(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        """For signals; there are no threads."""
        return self.call_soon(callback, *args, context=context)

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        call = Call(when, callback, args, contextvars.copy_context() if context is None else context)
        call.waits_in = self
        heapq.heappush(self._timers, (when, call))
        return call

    def call_later(
        self, delay: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        return self.call_at(self.now_s + delay, callback, *args, context=context)

    def is_running(self) -> bool:
        return self._runs

    def run_forever(self) -> None:
        asyncio._set_running_loop(self)
        self._runs = True
        try:
            while True:
                self._turn()
                if self._ends:
                    break
        finally:
            self._runs = self._ends = False
            asyncio._set_running_loop(None)

    def stop(self) -> None:
        self._ends = True

    def close(self) -> None:
        super().close()
        self._due.clear()
        self._timers.clear()

    # -- what tests call -----------------------------------------------------------------------------------------------

    def timers(self) -> list[Call]:
        """The timers that have not run yet."""
        return [call for _, call in self._timers if not call.is_cancelled]

    def is_idle(self) -> bool:
        """Return whether only the caller is ready to run; timers may be left."""
        return not self._due

    # -- how it runs --------------------------------------------------------------------------------------------------

    def may_run(self, call: Call) -> bool:
        """Return whether this call may run now. It is called before each one."""
        return True

    def run_again(self, call: Call) -> None:
        """Queue a call again that was not allowed to run."""
        self._due.append(call)

    def _turn(self) -> None:
        """Run all callbacks that are ready now; if there is none, move to the time of the next timer."""
        self._drop_cancelled()
        due = self._due
        self._take_due_timers()
        while not (due or self._ends):
            self._jump()
            self._take_due_timers()
        for _ in range(len(due)):
            call = due.popleft()
            if call.is_cancelled or not self.may_run(call):
                continue
            try:
                call.context.run(call.callback, *call.args)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - as every loop does
                self.call_exception_handler({"message": "Exception in a callback", "exception": error, "handle": call})

    def _take_due_timers(self) -> None:
        timers, until_s = self._timers, self.now_s + RESOLUTION_S
        while timers and timers[0][0] < until_s:
            call = heapq.heappop(timers)[1]
            call.waits_in = None
            self._due.append(call)

    def _jump(self) -> None:
        self._drop_cancelled()
        if not self._timers:
            raise RuntimeError("nothing can ever happen again: no timer is left")
        left_s = self._timers[0][0] - self.now_s
        self._ticks += round(left_s * TICKS_PER_S) + (left_s < TICK_S)
        self.now_s = self._ticks / TICKS_PER_S

    def _drop_cancelled(self) -> None:
        timers = self._timers
        if len(timers) > SWEPT_FROM and self.cancelled_timers * 2 > len(timers):
            for _, call in timers:
                if call.is_cancelled:
                    call.waits_in = None
            self._timers = [timer for timer in timers if not timer[1].is_cancelled]
            heapq.heapify(self._timers)
            self.cancelled_timers = 0
            return
        while timers and timers[0][1].is_cancelled:
            heapq.heappop(timers)[1].waits_in = None
            self.cancelled_timers -= 1


def running_loop() -> VirtualLoop:
    """Return the running loop. `asyncio.get_running_loop` costs a system call."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return loop
