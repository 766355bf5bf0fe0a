"""Redis Cluster: each command is sent to the node that serves its keys, also after the keys have moved.

redis-py's own cluster client is not used. It sends ASKING and the command after it over different connections,
cannot reach a node that has no slots yet, and requests the table of all commands whenever the cluster changes.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Collection, Sequence
from typing import Any

from redis.crc import key_slot
from redis.exceptions import (
    AskError,
    ClusterDownError,
    ClusterError,
    MovedError,
    RedisError,
    ResponseError,
    TryAgainError,
)

from sidecar.core.model import Address, Seconds
from sidecar.core.store_url import RedisUrl
from sidecar.resolver import Resolver
from sidecar.stores.redis.access import Access
from sidecar.stores.redis.replaceable_pool import LOST, ClientFactory, ReplaceablePool, Word, renewal_due_at

TRY_AGAIN_S: Seconds = 0.02
"""Delay before a retry while a migration has moved only one of a profile's two keys."""
MAX_HOPS = 8
"""Limit of redirections: nodes that disagree must not redirect a command until its time limit."""
ASKED_AT_ONCE = 3
"""Nodes queried for the slot table in parallel. The first reply counts, so that a dead node causes no delay."""


class NotAClusterError(ClusterError):
    """The server replies, but is not a node of a cluster."""


class Slots:
    """The reply to CLUSTER SLOTS, and the moves reported since."""

    def __init__(self, reply: Sequence[Any], node: Address) -> None:
        """`reply` is ranges of `[first, last, [host, port, …] of the master, the same of each replica …]`.

        A missing host, of a node that does not know or does not announce its own, means the host of `node`.
        """
        self._ranges: list[tuple[int, int, Address]] = []
        self._moved: dict[int, Address] = {}
        self.nodes: set[Address] = set()
        for first, last, *servers in reply:
            hosts = (node.host if each[0] in (None, b"", b"?") else each[0].decode() for each in servers)
            addresses = [Address(host, int(each[1])) for host, each in zip(hosts, servers, strict=True)]
            self._ranges.append((int(first), int(last), addresses[0]))
            self.nodes.update(addresses)

    @property
    def served(self) -> int:
        """Return the number of slots that have a master."""
        return sum(last - first + 1 for first, last, _ in self._ranges)

    def any_master(self, doubted: Address | None) -> Address:
        """Return a master, other than `doubted` if there is another. Raises `ClusterDownError`."""
        masters = {master for _, _, master in self._ranges}
        if not masters:
            raise ClusterDownError("no slot has a master")
        return min(masters, key=lambda master: master == doubted)

    def master_of(self, slot: int) -> Address:
        """Return the slot's master. Raises `ClusterDownError` if it has none."""
        masters = (master for first, last, master in self._ranges if first <= slot <= last)
        master = self._moved.get(slot) or next(masters, None)
        if master is None:
            raise ClusterDownError("the slot has no master")
        return master

    def move(self, slot: int, master: Address) -> None:
        """Record the slot's new master, as a node reported it."""
        self._moved[slot] = master
        self.nodes.add(master)


class Nodes:
    """The nodes that the URL or another node names, and the slot table that they report."""

    def __init__(self, url: RedisUrl, factory: ClientFactory) -> None:
        self._seeds = frozenset(url.addresses)
        self._named = self._seeds
        """Nodes in the URL or the last slot table: each can report the others."""
        self._factory = factory
        self._pools: dict[Address, ReplaceablePool] = {}
        self._slots: Slots | None = None
        self._learning: asyncio.Task[Slots] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._due_at = renewal_due_at()
        self.doubted: Address | None = None
        """The node that failed last: it is queried last."""

    def pool(self, address: Address) -> ReplaceablePool:
        if address not in self._pools:
            self._pools[address] = self._factory.pool(address)
        return self._pools[address]

    async def slots(self) -> Slots:
        """Return the slot table; query it only if it is unknown. Concurrent callers wait for the same query.

        It is renewed regularly from the nodes that the URL names: the names may lead to another cluster by now, while
        the old one still replies.
        """
        if self._slots is not None and time.monotonic() >= self._due_at:
            await asyncio.wait((self._renew(),), timeout=self._factory.optional_wait_s)
        if self._slots is not None:
            return self._slots
        if self._learning is None or self._learning.done():
            self._learning = self._factory.background.start(self._learn())
        return await asyncio.shield(self._learning)

    def move(self, slot: int, master: Address) -> None:
        """Record the slot's new master, as a node reported it."""
        if self._slots is not None:
            self._slots.move(slot, master)

    def doubt(self, address: Address) -> None:
        """Drop the slot table after a failure of this node: the table may be outdated."""
        self._slots, self.doubted = None, address

    async def close(self) -> None:
        for pool in self._pools.values():
            await pool.close()

    async def _learn(self) -> Slots:
        return self._use(await self._first_reply(self._named))

    def _renew(self) -> asyncio.Task[None]:
        """Start a renewal, or join the running one. When it ends, the next one is scheduled, also after a failure."""
        if self._renewal is None or self._renewal.done():
            self._renewal = self._factory.background.start(self._query_seeds())
        return self._renewal

    async def _query_seeds(self) -> None:
        known, refreshed = self._slots, None
        with contextlib.suppress(RedisError, *LOST):
            refreshed = await self._first_reply(self._seeds, renew=True)
        self._due_at = renewal_due_at()
        # Fewer slots: the node has left the cluster, and its table is old. Another table: a node failed meanwhile.
        if refreshed is not None and known is not None and known is self._slots and refreshed.served >= known.served:
            self._use(refreshed)

    def _use(self, slots: Slots) -> Slots:
        self._slots = slots
        self._due_at = renewal_due_at()
        self._named = self._seeds | slots.nodes
        # Close the connections to nodes that left the cluster: new nodes may come under new addresses without end.
        for address in self._pools.keys() - self._named:
            self._pools.pop(address).leave()
        return slots

    async def _first_reply(self, nodes: Collection[Address], *, renew: bool = False) -> Slots:
        """With `renew`, query over new connections, to the addresses that the nodes' names have now."""
        order = sorted(nodes, key=lambda node: (node == self.doubted, random.random()))  # noqa: S311 - no secret
        failure: Exception = ClusterError("no node is known")
        for first in range(0, len(order), ASKED_AT_ONCE):
            batch = order[first : first + ASKED_AT_ONCE]
            asked = [self._factory.background.start(self._ask(address, renew)) for address in batch]
            for reply in asyncio.as_completed(asked):
                try:
                    return await reply
                except (RedisError, *LOST) as error:
                    failure = error
        raise failure

    async def _ask(self, address: Address, renew: bool) -> Slots:
        if renew:
            await self.pool(address).renew()
        try:
            reply = await self.pool(address).run("CLUSTER", "SLOTS")
        except ResponseError as error:
            if type(error) is ResponseError:  # a missing permission and a loading server have subclasses
                raise NotAClusterError("it has no cluster support") from None
            raise
        try:
            return Slots(reply, address)
        except (AttributeError, IndexError, TypeError, ValueError):
            raise NotAClusterError("its reply is not a slot table") from None


class ClusterServers:
    """Follows redirections within an operation's time limit."""

    def __init__(self, url: RedisUrl, timeout_s: Seconds, resolver: Resolver, access: Access) -> None:
        factory = ClientFactory(timeout_s, resolver, access.server, access.certificates)
        self._nodes = Nodes(url, factory)
        self._background = factory.background
        self._timeout_s = timeout_s

    async def run(self, key: str, *command: Word) -> Any:  # noqa: ANN401 - any command has any reply
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + self._timeout_s
        address, asking = await self._master_for(key), False
        hops = 0
        while True:
            try:
                return await self._nodes.pool(address).run(*command, asking=asking)
            except (AskError, TryAgainError, ClusterDownError, *LOST) as error:  # MovedError is an AskError
                hops += not isinstance(error, TryAgainError)
                in_time = loop.time() < give_up_at and hops <= MAX_HOPS
                next_hop = await self._next_hop(key, address, asking, error) if in_time else None
                # Nothing is sent after the time limit: no caller waits for it any more.
                if next_hop is None or loop.time() >= give_up_at:
                    self._nodes.doubt(address)
                    raise
                address, asking = next_hop

    async def close(self) -> None:
        await self._background.ended()  # a running query may still open connections
        await self._nodes.close()
        await self._background.ended()

    async def _next_hop(
        self, key: str, address: Address, asking: bool, error: Exception
    ) -> tuple[Address, bool] | None:
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
