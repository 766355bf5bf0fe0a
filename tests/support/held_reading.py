"""A file operation that a test can make hang."""

from __future__ import annotations

import threading
from typing import Generic, TypeVar

T = TypeVar("T")


class HeldReading(Generic[T]):
    """Called in a thread: returns `now`, or raises it, while `answers` is set; hangs while it is not."""

    def __init__(self, now: T | Exception) -> None:
        self.now = now
        self.answers = threading.Event()
        self.answers.set()
        self.calls = 0
        self.entered = threading.Semaphore(0)
        self.threads: list[threading.Thread] = []

    def __call__(self) -> T:
        self.calls += 1
        self.threads.append(threading.current_thread())
        self.entered.release()
        self.answers.wait()
        if isinstance(self.now, Exception):
            raise self.now
        return self.now
