"""Clients that send requests all the time, count the responses, and compare each with what the partner issued."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.support.processes import Fleet
from tests.support.promise import broken_promise
from tests.support.replica import Replica, until

logger = logging.getLogger(__name__)

CLIENTS = 8
PACE_S = 0.03
"""The pause between two requests of one client: about 250 requests a second, which leave most of two cores free."""


class Load:
    """The responses that all clients together received."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self.token_ids: list[str] = []
        """The ids of the tokens received, in order of their first appearance."""
        self.good = 0
        self.bad: Counter[str] = Counter()
        """Everything else than a good token: problems, suspect tokens, broken connections."""
        self.wrong: list[str] = []
        """Responses that `broken_promise` does not allow, whatever fails."""
        self.asking: Counter[Replica] = Counter()
        """The number of open requests of each replica."""
        self.reported: dict[Replica, set[str]] = {}
        """The ids of the tokens that were reported to each replica as rejected."""

    async def client(self) -> None:
        while True:
            await self._ask_once()
            await asyncio.sleep(PACE_S)

    async def report(self, replica: Replica) -> None:
        """Report to one replica that the partner rejects the token it vends."""
        try:
            token_id = str((await replica.ask()).body.get("tokenId", ""))
            verdict = await replica.report(token_id) if token_id else ""
        except (aiohttp.ClientError, OSError) as error:
            self.bad[type(error).__name__] += 1
            return
        if verdict in ("refreshing", "later"):
            self.reported.setdefault(replica, set()).add(token_id)

    async def _ask_once(self) -> None:
        if not self._fleet.replicas:
            return
        replica, asked_at = random.choice(self._fleet.replicas), self._fleet.now
        reported = frozenset(self.reported.get(replica, ()))
        self.asking[replica] += 1
        try:
            answer = await replica.ask()
        except (aiohttp.ClientError, OSError) as error:
            self.bad[type(error).__name__] += 1
            return
        finally:
            self.asking[replica] -= 1
        if broken := broken_promise(answer, self._fleet.sandbox, asked_at, reported):
            self.wrong.append(f"{replica.log.stem}: {broken}")
        if answer.status != 200 or "suspect" in answer.body:
            self.bad[answer.code or "suspect"] += 1
            return
        self.good += 1
        if answer.token_id not in self.token_ids:
            self.token_ids.append(answer.token_id)


@asynccontextmanager
async def under_load(fleet: Fleet) -> AsyncIterator[Load]:
    """Send requests to all of `fleet.replicas` meanwhile. At the end, no response may have broken the promise."""
    load = Load(fleet)
    clients = [asyncio.create_task(load.client()) for _ in range(CLIENTS)]
    try:
        await until(lambda: load.good > 2 * CLIENTS)
        yield load
    finally:
        for client in clients:
            client.cancel()
        await asyncio.gather(*clients, return_exceptions=True)
    logger.info("%d good answers, others %s, partner calls %d", load.good, dict(load.bad), len(fleet.calls))
    assert not load.wrong, load.wrong[:9]
