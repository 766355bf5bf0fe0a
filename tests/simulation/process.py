"""Processes inside one event loop: each can be stopped, continued and killed between any two of its steps.

A step is what the loop runs without a break: from one await of a task to the next, or a callback. The context
of a step shows its process. Tasks, timers and futures copy their context by themselves.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from tests.support.virtual_loop import Call, VirtualLoop

T = TypeVar("T")

_PROCESS: contextvars.ContextVar[Process | None] = contextvars.ContextVar("process", default=None)
OUTSIDE = contextvars.copy_context()
"""The context of everything that is no process: the network, the store, the partner, the fault injector."""


class Process:
    """One process of the fleet: it can be spawned, stopped, resumed and killed."""

    def __init__(self, name: str, loop: VirtualLoop) -> None:
        self.name = name
        self._loop = loop
        self.stopped = False
        self.dead = False
        self.steps = 0
        self.before_step: Callable[[], None] | None = None
        """Called before each step; may stop or kill the process there."""
        self.held: list[Call] = []
        """Calls held for a stopped process, as by the kernel."""
        self.tasks: list[asyncio.Task[Any]] = []
        self._context = OUTSIDE.copy()
        self._context.run(_PROCESS.set, self)

    def spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run this in the process."""
        task = self._loop.create_task(work, context=self._context.copy())
        # A dead process' tasks never end, and have no other reference: they are discarded with the loop.
        self.tasks.append(task)
        return task

    def stop(self) -> None:
        """Stop the process like SIGSTOP: none of its steps run, and time goes on."""
        self.stopped = True

    def resume(self) -> None:
        """Resume the process like SIGCONT."""
        self.stopped = False
        held, self.held = self.held, []
        for call in held:
            self._loop.run_again(call)

    def kill(self) -> None:
        """Kill the process like SIGKILL: no step runs again, not even a `finally`."""
        self.dead = True
        self.held.clear()

    def may_step(self, call: Call) -> bool:
        """Count this call as a step and return whether it runs now. Calls to a stopped process are held."""
        if self._held(call):
            return False
        self.steps += 1
        if self.before_step is None:
            return True
        self.before_step()
        # It may have been cancelled there.
        return not (self._held(call) or call.cancelled())

    def _held(self, call: Call) -> bool:
        if self.stopped and not self.dead:
            self.held.append(call)
        return self.stopped or self.dead


class ProcessLoop(VirtualLoop):
    """Virtual time, and processes in it."""

    def may_run(self, call: Call) -> bool:
        process = call.context.get(_PROCESS)
        return process is None or process.may_step(call)
