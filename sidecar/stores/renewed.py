"""A client whose connections are all left behind when one of them leads nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import MasterDownError, ReadOnlyError
from redis.exceptions import TimeoutError as RedisTimeoutError

from sidecar.stores.aside import Aside

LOST = (RedisConnectionError, RedisTimeoutError, ReadOnlyError, MasterDownError, OSError, RuntimeError)
"""Nobody is there, or nobody who may write: the name or the sentinels may lead elsewhere by now.

RuntimeError is uvloop's word for a write to a closed transport.
"""

Word: TypeAlias = str | bytes | int


class RenewedClient:
    """After a failure no later operation meets a connection of before: each of them might only time out in turn."""

    def __init__(self, make: Callable[[], Redis], aside: Aside) -> None:
        self._make = make
        self._aside = aside
        self.client = make()

    async def run(self, *command: Word, asking: bool = False) -> Any:  # noqa: ANN401 - any command has any answer
        """Send one command; `asking` lets it have keys that a node of a cluster is only about to get."""
        client = self.client
        try:
            if asking:
                return await _run_asking(client, command)
            return await client.execute_command(*command)  # type: ignore[no-untyped-call]  # redis-py's
        except LOST:
            if client is self.client:
                self.client = self._make()
            raise
        finally:
            # Also where another operation's failure came first: what we used went back to a pool nobody asks again.
            if client is not self.client:
                self._aside.start(_retire(client))

    def leave(self) -> None:
        """Close what is idle now, and what is under way when it ends."""
        left, self.client = self.client, self._make()
        self._aside.start(_retire(left))

    async def close(self) -> None:
        await self.client.aclose()


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
