"""Processes inside one event loop: each can be stopped, continued and killed between any two of its steps.

A step is what the loop runs without a break: from one await of a task to the next, or a callback. What belongs to a
process is told by the context it runs in, which tasks, timers and futures hand on by themselves.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.fakes.virtual_time import VirtualLoop

T = TypeVar("T")

_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
OUTSIDE = contextvars.copy_context()
"""The context of everything that is no process: the network, the store, the partner, the weather."""


class Process:
    """One process of the fleet, as the operating system sees it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.stopped = False
        self.dead = False
        self.steps = 0
        self.before_step: Callable[[], None] | None = None
        """Asked before each step; may stop or kill the process there."""
        self.held: list[_Step] = []
        """What the kernel has ready for a stopped process."""
        self.tasks: list[asyncio.Task[Any]] = []
        self._context = OUTSIDE.copy()
        self._context.run(_PROCESS.set, self)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run this in the process."""
        task = asyncio.get_running_loop().create_task(work, context=self._context.copy())
        # A dead process' tasks never end, and nobody else holds them: they are thrown away with the loop.
        self.tasks.append(task)
        return task

    def stop(self) -> None:
        """As SIGSTOP: nothing of it runs, and time goes on."""
        self.stopped = True

    def resume(self) -> None:
        """As SIGCONT."""
        self.stopped = False
        held, self.held = self.held, []
        for step in held:
            step.again()

    def kill(self) -> None:
        """As SIGKILL: nothing of it ever runs again, not even a `finally`."""
        self.dead = True
        self.held.clear()


class _Step:
    """One callback of a process on its way through the loop."""

    def __init__(
        self,
        loop: ProcessLoop,
        process: Process,
        callback: Callable[..., object],
        args: tuple[object, ...],
        context: contextvars.Context,
    ) -> None:
        self._loop = loop
        self._process = process
        self._callback = callback
        self._args = args
        self._context = context
        self.handle: asyncio.Handle | None = None

    def __call__(self) -> None:
        process = self._process
        if not self._may_run():
            return
        process.steps += 1
        if process.before_step is not None:
            process.before_step()
            if not self._may_run():
                return
        self._callback(*self._args)

    def again(self) -> None:
        self._loop.call_soon_outside(self, self._context)

    def _may_run(self) -> bool:
        if self._process.stopped and not self._process.dead:
            self._process.held.append(self)
        # Cancelled while it was held: what ran before it since has made it void.
        void = self.handle is not None and self.handle.cancelled()
        return not (self._process.dead or self._process.stopped or void)


class ProcessLoop(VirtualLoop):
    """Virtual time, and processes in it."""

    def call_soon(
        self, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        step, context = self._step(callback, args, context)
        if step is None:
            return super().call_soon(callback, *args, context=context)
        step.handle = super().call_soon(step, context=context)
        return step.handle

    def call_at(
        self, when: float, callback: Callable[..., object], *args: object, context: contextvars.Context | None = None
    ) -> asyncio.TimerHandle:
        step, context = self._step(callback, args, context)
        if step is None:
            return super().call_at(when, callback, *args, context=context)
        step.handle = timer = super().call_at(when, step, context=context)
        return timer

    def call_soon_outside(self, callback: Callable[[], object], context: contextvars.Context) -> None:
        super().call_soon(callback, context=context)

    def _step(
        self, callback: Callable[..., object], args: tuple[object, ...], context: contextvars.Context | None
    ) -> tuple[_Step | None, contextvars.Context | None]:
        process = _PROCESS.get() if context is None else context.get(_PROCESS)
        if process is None:
            return None, context
        context = context or contextvars.copy_context()
        return _Step(self, process, callback, args, context), context
