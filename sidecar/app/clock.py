"""The real clock."""

from __future__ import annotations

import asyncio
import random
import secrets
import time

from sidecar.core.model import Instant, Moment, Seconds


class SystemClock:
    """The `Clock` port on this machine."""

    def monotonic(self) -> Moment:
        return time.monotonic()

    def wall(self) -> Instant:
        return time.time()

    async def sleep(self, delay_s: Seconds) -> None:
        await asyncio.sleep(delay_s)

    def jitter(self) -> float:
        return random.random()  # noqa: S311 - spreads load, guards nothing

    def new_id(self) -> str:
        return secrets.token_hex(8)
