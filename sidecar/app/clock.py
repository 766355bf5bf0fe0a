"""The system clock."""

from __future__ import annotations

import asyncio
import random
import secrets
import time
from collections.abc import Callable
from functools import partial

from sidecar.core.model import MonotonicTime, Seconds, UtcTime

_RUNNING = time.CLOCK_BOOTTIME if hasattr(time, "CLOCK_BOOTTIME") else time.CLOCK_MONOTONIC
"""Like `time.monotonic`, but it also counts while the machine is suspended: tokens age then too."""


class SystemClock:
    """The `Clock` port on this machine."""

    # Read several times for each response, so these are C functions without a Python frame.
    monotonic: Callable[[], MonotonicTime] = staticmethod(partial(time.clock_gettime, _RUNNING))
    wall: Callable[[], UtcTime] = staticmethod(time.time)

    async def sleep(self, delay_s: Seconds) -> None:
        await asyncio.sleep(delay_s)

    def jitter(self) -> float:
        return random.random()  # noqa: S311 - spreads load, guards nothing

    def new_id(self) -> str:
        return secrets.token_hex(8)
