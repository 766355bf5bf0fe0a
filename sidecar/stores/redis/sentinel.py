"""Redis behind sentinels: each new connection goes to the master that most of them name.

A demoted master closes its clients' connections, so clients connect again and query the sentinels again. A master that
is silent, or replies READONLY, does not close them: then all connections to it are replaced.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import TypeAlias

from redis.exceptions import ConnectionError as RedisConnectionError

from sidecar.core.model import Address
from sidecar.core.store_url import RedisUrl
from sidecar.stores.redis.replaceable_pool import ClientFactory


class ServiceUnknownError(RedisConnectionError):
    """The sentinels that replied know no master of this name."""


Asked: TypeAlias = Sequence[asyncio.Task[Address | None]]
"""One query to each sentinel; its result is None if the sentinel does not know the service."""


class Sentinels:
    """Queries all sentinels in parallel: a dead one does not block the others, and a partitioned one is outvoted."""

    def __init__(self, url: RedisUrl, factory: ClientFactory) -> None:
        """`factory` makes the connections to the sentinels."""
        self._url = url
        self._factory = factory

    async def master(self) -> Address:
        """Return the master that more than half of the sentinels name, else most of those that reply in time.

        Raises `ServiceUnknownError`, or the error of a sentinel that failed.
        """
        asked = [self._factory.background.start(self.ask(address)) for address in self._url.addresses]
        loop = asyncio.get_running_loop()
        # A silent sentinel delays the result until then, and only while no majority names one master.
        wait_until = loop.time() + self._factory.optional_wait_s
        waiting = set(asked)
        while waiting and _most_votes(asked) * 2 <= len(asked):
            left_s = wait_until - loop.time()
            if left_s <= 0 and _most_votes(asked):
                break
            # The wait is over and no sentinel has named a master: the first one named is used.
            limit_s = left_s if left_s > 0 else None
            _, waiting = await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if not _most_votes(asked):
            raise _why_none(asked)
        return _votes(asked).most_common(1)[0][0]

    async def ask(self, address: Address) -> Address | None:
        """Return the master that this sentinel names; None if it does not know the service."""
        reply = await self._factory.ask(address, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.service)
        return None if reply is None else Address(reply[0].decode(), int(reply[1]))


def _votes(asked: Asked) -> Counter[Address]:
    replies = (task.result() for task in asked if task.done() and task.exception() is None)
    return Counter(address for address in replies if address is not None)


def _most_votes(asked: Asked) -> int:
    return max(_votes(asked).values(), default=0)


def _why_none(asked: Asked) -> BaseException:
    failures = [failure for task in asked if (failure := task.exception()) is not None]
    if len(failures) < len(asked):
        return ServiceUnknownError("no sentinel that replied knows the service")
    return failures[-1]
