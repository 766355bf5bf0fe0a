"""A client whose connections are all left behind when one of them leads nowhere, and after a while in any case."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, ReadOnlyError, RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sidecar.core.model import Moment, Seconds
from sidecar.stores.aside import Aside

LOST = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, MasterDownError, OSError, RuntimeError)
"""Nobody is there, or nobody who may write: the name or the sentinels may lead elsewhere by now.

RuntimeError is uvloop's word for a write to a closed transport.
"""

RENEW_AFTER_S: tuple[Seconds, Seconds] = (45, 75)
"""Between these, at random: the replicas of a fleet must not all connect at once."""

PATIENCE = 1 / 3
"""For this part of its time limit an operation waits for what it can do without."""

Word: TypeAlias = str | bytes | int


def renewal_due_at() -> Moment:
    """When what was found out just now should be found out again, by `time.monotonic`."""
    return time.monotonic() + random.uniform(*RENEW_AFTER_S)  # noqa: S311 - spreads load, guards nothing


class RenewedClient:
    """After a failure no later operation meets a connection of before: each of them might only time out in turn.

    And none is used for ever: a name may lead to another server by now, while the one of before goes on answering. So
    after a while a new connection is made, and once it is there, the old ones are left behind.
    """

    def __init__(self, make: Callable[[], Redis], aside: Aside, patience_s: Seconds) -> None:
        """An operation waits for `patience_s` at most until a due renewal has ended, and for a failed one no longer."""
        self._make = make
        self._aside = aside
        self._patience_s = patience_s
        self._renewal: asyncio.Task[None] | None = None
        self._replace(make())

    async def run(self, *command: Word, asking: bool = False) -> Any:  # noqa: ANN401 - any command has any answer
        """Send one command; `asking` lets it have keys that a node of a cluster is only about to get."""
        if time.monotonic() >= self._due_at:
            await asyncio.wait((self._renew(),), timeout=self._patience_s)
        client = self.client
        try:
            if asking:
                return await _run_asking(client, command)
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's
        except LOST:
            if client is self.client:
                self._replace(self._make())
            raise
        finally:
            # Also where another operation's failure came first: what we used went back to a pool nobody asks again.
            if client is not self.client:
                self._aside.start(_retire(client))

    def leave(self) -> None:
        """Close what is idle now, and what is under way when it ends."""
        left = self.client
        self._replace(self._make())
        self._aside.start(_retire(left))

    async def renew(self) -> None:
        """Connect anew now; where that fails, what there is goes on being used."""
        await asyncio.shield(self._renew())

    async def close(self) -> None:
        if self._renewal is not None:
            await asyncio.wait((self._renewal,))
        await self.client.aclose()

    def _replace(self, client: Redis) -> None:
        self.client = client
        self._due_at = renewal_due_at()

    def _renew(self) -> asyncio.Task[None]:
        """One at a time. Once it has ended, successfully or not, the next is due after a while."""
        if self._renewal is None or self._renewal.done():
            self._renewal = self._aside.start(self._make_before_break())
        return self._renewal

    async def _make_before_break(self) -> None:
        old, left = self.client, self._make()
        try:
            # Connected, and let in: what the server may say of commands is the operations' own business.
            connection = await left.connection_pool.get_connection()  # type: ignore[no-untyped-call]  # redis-py's
            await left.connection_pool.release(connection)
        except (RedisError, *LOST):
            self._due_at = renewal_due_at()
        else:
            # Unless an operation failed meanwhile, whose successor is as new.
            if self.client is old:
                new, left = left, old
                self._replace(new)
        await _retire(left)


async def _run_asking(client: Redis, command: tuple[Word, ...]) -> Any:  # noqa: ANN401 - any command has any answer
    """ASKING holds for the next command of the same connection."""
    async with client.pipeline(transaction=False) as pipeline:
        pipeline.execute_command("ASKING")
        pipeline.execute_command(*command)
        answers = await pipeline.execute(raise_on_error=False)
    for answer in answers:
        if isinstance(answer, Exception):
            raise answer
    return answers[1]


async def _retire(client: Redis) -> None:
    await client.connection_pool.update_active_connections_for_reconnect()  # type: ignore[no-untyped-call]  # redis-py's
    await client.connection_pool.disconnect(inuse_connections=False)
