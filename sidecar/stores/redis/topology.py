"""The servers of a store's URL: the protocol for every topology, and the single server."""

from __future__ import annotations

from typing import Any, Protocol

from sidecar.core.model import Seconds
from sidecar.core.store_url import RedisUrl
from sidecar.resolver import Resolver
from sidecar.stores.redis.access import Access
from sidecar.stores.redis.connection import Connecting
from sidecar.stores.redis.replaceable_pool import OPTIONAL_WAIT, BackgroundTasks, RenewedClient, Word


class Servers(Protocol):
    """Sends one command to the responsible server. Raises what redis-py raises, `OSError` and `RuntimeError`.

    A command is sent again only if a server replied that it did not run it, or could not be reached.
    """

    async def run(self, key: str, *command: Word) -> Any:  # noqa: ANN401 - any command has any answer
        """`key` is one of the command's keys, which share one slot; empty for a command without keys."""
        ...

    async def close(self) -> None:
        """Close every connection; no operation may be running."""
        ...


class OneServer:
    """Always uses the same address, whichever server it leads to."""

    def __init__(self, url: RedisUrl, timeout_s: Seconds, resolver: Resolver, access: Access) -> None:
        self._aside = BackgroundTasks()
        connecting = Connecting(timeout_s, resolver, access.server, access.certificates)
        self._client = RenewedClient(
            lambda: connecting.client(url.addresses[0], url.database), self._aside, timeout_s * OPTIONAL_WAIT
        )

    async def run(self, key: str, *command: Word) -> Any:  # noqa: ANN401, ARG002 - the form of `Servers`
        return await self._client.run(*command)

    async def close(self) -> None:
        await self._client.close()
        await self._aside.ended()
