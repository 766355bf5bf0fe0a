"""Redis Cluster: each command goes to the node that serves its keys, and follows them when they move.

redis-py's own cluster client is not used. It sends ASKING and the command it is for through different connections,
finds no way to a node that holds no slots yet, and asks for the table of all commands whenever the cluster changes.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from sidecar.core.model import Address, Seconds
from sidecar.core.redis_url import RedisUrl
from sidecar.resolver import Resolver
from sidecar.stores.redis.access import Access
from sidecar.stores.redis.background_tasks import BackgroundTasks
from sidecar.stores.redis.connection import Connecting
from sidecar.stores.redis.nodes import Nodes
from sidecar.stores.redis.replaceable_pool import LOST, OPTIONAL_WAIT, Word

TRY_AGAIN_S: Seconds = 0.02
"""While a profile's two keys lie on both sides of a move."""
MAX_HOPS = 8
"""Nodes that disagree must not send us round for as long as the time limit allows."""


class ClusterServers:
    """Follows the keys for as long as an operation's time limit allows."""

    def __init__(self, url: RedisUrl, timeout_s: Seconds, resolver: Resolver, access: Access) -> None:
        self._aside = BackgroundTasks()
        connecting = Connecting(timeout_s, resolver, access.server, access.certificates)
        self._nodes = Nodes(url.addresses, connecting.client, self._aside, timeout_s * OPTIONAL_WAIT)
        self._timeout_s = timeout_s

    async def run(self, key: str, *command: Word) -> Any:  # noqa: ANN401 - any command has any answer
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._timeout_s
        address, asking = await self._master_for(key), False
        hops = 0
        while True:
            try:
                return await self._nodes.client(address).run(*command, asking=asking)
            except (MovedError, AskError, TryAgainError, ClusterDownError, *LOST) as error:
                hops += not isinstance(error, TryAgainError)
                in_time = loop.time() < give_up_at and hops <= MAX_HOPS
                way_on = await self._way_on(key, address, asking, error) if in_time else None
                # Nothing is sent when nobody waits for it any more.
                if way_on is None or loop.time() >= give_up_at:
                    self._nodes.doubt(address)
                    raise
                address, asking = way_on

    async def close(self) -> None:
        await self._aside.ended()  # a question on its way may still open connections
        await self._nodes.close()
        await self._aside.ended()

    async def _way_on(self, key: str, address: Address, asking: bool, error: Exception) -> tuple[Address, bool] | None:
        """Whom to ask next, and whether with ASKING; None: nobody knows better now."""
        match error:
            case MovedError():
                master = _named(error, address)
                self._nodes.move(error.slot_id, master)
                return master, False
            case AskError():
                return _named(error, address), True
            case TryAgainError():
                await asyncio.sleep(TRY_AGAIN_S)
                return address, asking
        self._nodes.doubt(address)
        master = await self._master_for(key)
        return None if master == address else (master, False)

    async def _master_for(self, key: str) -> Address:
        slots = await self._nodes.slots()
        return slots.master_of(key_slot(key.encode())) if key else slots.any_master(self._nodes.doubted)


def _named(error: AskError, asked: Address) -> Address:
    """A node without a name of its own is meant by the one it was asked by."""
    return Address(error.host if error.host not in ("", "?") else asked.host, error.port)
