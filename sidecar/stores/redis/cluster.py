"""Redis Cluster: each command is sent to the node that serves its keys, also after the keys have moved.

redis-py's own cluster client is not used. It sends ASKING and the command after it over different connections,
cannot reach a node that has no slots yet, and requests the table of all commands whenever the cluster changes.
"""

from __future__ import annotations

import asyncio
from typing import Any

from redis.crc import key_slot
from redis.exceptions import AskError, ClusterDownError, MovedError, TryAgainError

from sidecar.core.model import Address, Seconds
from sidecar.core.store_url import RedisUrl
from sidecar.resolver import Resolver
from sidecar.stores.redis.access import Access
from sidecar.stores.redis.connection import Connecting
from sidecar.stores.redis.nodes import Nodes
from sidecar.stores.redis.replaceable_pool import LOST, OPTIONAL_WAIT, BackgroundTasks, Word

TRY_AGAIN_S: Seconds = 0.02
"""Delay before a retry while a migration has moved only one of a profile's two keys."""
MAX_HOPS = 8
"""Limit of redirections: nodes that disagree must not redirect a command until its time limit."""


class ClusterServers:
    """Follows redirections within an operation's time limit."""

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
                # Nothing is sent after the time limit: no caller waits for it any more.
                if way_on is None or loop.time() >= give_up_at:
                    self._nodes.doubt(address)
                    raise
                address, asking = way_on

    async def close(self) -> None:
        await self._aside.ended()  # a running query may still open connections
        await self._nodes.close()
        await self._aside.ended()

    async def _way_on(self, key: str, address: Address, asking: bool, error: Exception) -> tuple[Address, bool] | None:
        """Return the next node and whether to send ASKING; None if no other node is known."""
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
    """Return the address in a redirection; without a host it means the host of the node that sent it."""
    return Address(error.host if error.host not in ("", "?") else asked.host, error.port)
