"""Clients that never stop asking, and count what they get."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.fakes.processes import Fleet
from tests.fakes.replica import until

CLIENTS = 8
PACE_S = 0.01
"""Between two requests of one client: enough load to hit every moment, and room for others on two cores."""


class Load:
    """What all clients together were answered."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.token_ids: list[str] = []
        """The tokens seen, in order of first sight."""
        self.good = 0
        self.bad: Counter[str] = Counter()
        """Everything that was not a good token: problems, suspect tokens, broken connections."""

    async def client(self) -> None:
        while True:
            await self._ask_once()
            await asyncio.sleep(PACE_S)

    async def _ask_once(self) -> None:
        try:
            answer = await random.choice(self._fleet.replicas).ask()
        except (aiohttp.ClientError, OSError) as error:
            self.bad[type(error).__name__] += 1
            return
        if answer.status != 200 or "suspect" in answer.body:
            self.bad[answer.code or "suspect"] += 1
            return
        self.good += 1
        if answer.token_id not in self.token_ids:
            self.token_ids.append(answer.token_id)


@asynccontextmanager
async def under_load(fleet: Fleet) -> AsyncIterator[Load]:
    """Hammer all of `fleet.replicas` meanwhile. Answers under way are waited for, so that each of them counts."""
    load = Load(fleet)
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    try:
        await until(lambda: load.good > 2 * CLIENTS, 20)
        yield load
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
