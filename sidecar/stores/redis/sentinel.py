"""Redis behind sentinels: each new connection goes to the master that most of them name.

A master that is demoted closes its clients' connections, so who connects anew asks anew. One that is silent, or answers
READONLY, does not: then all connections to it are left behind.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.exceptions import ConnectionError as RedisConnectionError

from sidecar.core.model import Address, Seconds
from sidecar.core.redis_url import RedisUrl
from sidecar.resolver import Resolver
from sidecar.stores.redis.access import Access
from sidecar.stores.redis.background_tasks import BackgroundTasks
from sidecar.stores.redis.connection import Connecting
from sidecar.stores.redis.replaceable_pool import OPTIONAL_WAIT, RenewedClient, Word


class ServiceUnknownError(RedisConnectionError):
    """The sentinels that answered know no master of this name."""


class SentinelServers:
    """The master of one service."""

    def __init__(self, url: RedisUrl, timeout_s: Seconds, resolver: Resolver, access: Access) -> None:
        self._aside = BackgroundTasks()
        sentinels = Sentinels(url, timeout_s, resolver, access, self._aside)
        connecting = Connecting(timeout_s, resolver, access.server, access.certificates)
        self._client = RenewedClient(
            lambda: connecting.following_client(sentinels.master, url.database), self._aside, timeout_s * OPTIONAL_WAIT
        )

    async def run(self, key: str, *command: Word) -> Any:  # noqa: ANN401, ARG002 - the form of `Servers`
        return await self._client.run(*command)

    async def close(self) -> None:
        await self._client.close()
        await self._aside.ended()


Asked: TypeAlias = Sequence[asyncio.Task[Address | None]]
"""One question to each sentinel; its answer is None when it does not know the service."""


class Sentinels:
    """Asks all sentinels at once: a dead one costs nothing, and one that was cut off is outvoted."""

    def __init__(
        self, url: RedisUrl, timeout_s: Seconds, resolver: Resolver, access: Access, aside: BackgroundTasks
    ) -> None:
        self._connecting = Connecting(timeout_s, resolver, access.sentinel, access.certificates)
        self._url = url
        self._timeout_s = timeout_s
        self._aside = aside

    async def master(self) -> Address:
        """What more than half of the sentinels name, else what most of those name that answer in time.

        Raises `ServiceUnknownError`, or what kept a sentinel from answering.
        """
        asked = [self._aside.start(self._ask(address)) for address in self._url.addresses]
        loop = asyncio.get_running_loop()
        # A sentinel that is silent holds up the others' answer for so long, where it matters at all.
        patient_until = loop.time() + self._timeout_s * OPTIONAL_WAIT
        waiting = set(asked)
        while waiting and _most_votes(asked) * 2 <= len(asked):
            left_s = patient_until - loop.time()
            if left_s <= 0 and _most_votes(asked):
                break
            # Out of patience and nobody has answered: then whoever does so first is believed.
            limit_s = left_s if left_s > 0 else None
            _, waiting = await asyncio.wait(waiting, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
        if not _most_votes(asked):
            raise _why_none(asked)
        return _votes(asked).most_common(1)[0][0]

    async def _ask(self, address: Address) -> Address | None:
        answer = await self._connecting.ask(address, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.service)
        return None if answer is None else Address(answer[0].decode(), int(answer[1]))


def _votes(asked: Asked) -> Counter[Address]:
    answers = (task.result() for task in asked if task.done() and task.exception() is None)
    return Counter(address for address in answers if address is not None)


def _most_votes(asked: Asked) -> int:
    return max(_votes(asked).values(), default=0)


def _why_none(asked: Asked) -> BaseException:
    failures = [failure for task in asked if (failure := task.exception()) is not None]
    if len(failures) < len(asked):
        return ServiceUnknownError("no sentinel that answered knows the service")
    return failures[-1]
