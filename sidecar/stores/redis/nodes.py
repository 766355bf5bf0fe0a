"""The nodes of a Redis cluster: a client for each, and the slot table that they report.

The slot table of a Redis cluster, as one of its nodes reports it.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Callable, Collection, Coroutine, Sequence
from typing import Any, TypeAlias

from redis.asyncio import Redis
from redis.exceptions import ClusterDownError, ClusterError, RedisError, ResponseError

from sidecar.core.model import Address, Seconds
from sidecar.stores.redis.replaceable_pool import LOST, BackgroundTasks, RenewedClient, renewal_due_at

_Range: TypeAlias = tuple[int, int, Address]


class Slots:
    """The reply to CLUSTER SLOTS, and the moves reported since."""

    def __init__(self, answer: Sequence[Any], asked: Address) -> None:
        """`answer` is ranges of `[first, last, [host, port, …] of the master, the same of each replica …]`.

        A missing host, of a node that does not know or does not announce its own, means the host of `asked`.
        """
        self._ranges: list[_Range] = []
        self._moved: dict[int, Address] = {}
        self.nodes: set[Address] = set()
        for first, last, *nodes in answer:
            addresses = [Address(_host(node[0], asked), int(node[1])) for node in nodes]
            self._ranges.append((int(first), int(last), addresses[0]))
            self.nodes.update(addresses)

    @property
    def served(self) -> int:
        """Return the number of slots that have a master."""
        return sum(last - first + 1 for first, last, _ in self._ranges)

    def any_master(self, doubted: Address | None) -> Address:
        """Return a master, other than `doubted` if there is another. Raises `ClusterDownError`."""
        masters = sorted({master for _, _, master in self._ranges}, key=lambda master: master == doubted)
        if not masters:
            raise ClusterDownError("nobody serves anything")
        return masters[0]

    def master_of(self, slot: int) -> Address:
        """Return the slot's master. Raises `ClusterDownError` if it has none."""
        masters = (master for first, last, master in self._ranges if first <= slot <= last)
        master = self._moved.get(slot) or next(masters, None)
        if master is None:
            raise ClusterDownError("nobody serves the slot")
        return master

    def move(self, slot: int, master: Address) -> None:
        """Record the slot's new master, as a node reported it."""
        self._moved[slot] = master
        self.nodes.add(master)


def _host(said: bytes | None, asked: Address) -> str:
    return asked.host if said in (None, b"", b"?") else said.decode()


ASKED_AT_ONCE = 3
"""Nodes queried for the slot table in parallel. The first reply counts, so that a dead node causes no delay."""


class NotAClusterError(ClusterError):
    """The server replies, but is not a node of a cluster."""


class Nodes:
    """The nodes that the URL or another node names."""

    def __init__(
        self,
        seeds: Sequence[Address],
        connect: Callable[[Address], Redis],
        aside: BackgroundTasks,
        renewal_wait_s: Seconds,
    ) -> None:
        """`renewal_wait_s` as `RenewedClient` takes it."""
        self._seeds = frozenset(seeds)
        self._named = self._seeds
        """Nodes in the URL or the last slot table: each can report the others."""
        self._connect = connect
        self._aside = aside
        self._renewal_wait_s = renewal_wait_s
        self._clients: dict[Address, RenewedClient] = {}
        self._slots: Slots | None = None
        self._learning: asyncio.Task[Slots] | None = None
        self._renewal: asyncio.Task[None] | None = None
        self._due_at = renewal_due_at()
        self.doubted: Address | None = None
        """The node that failed last: it is queried last."""

    def client(self, address: Address) -> RenewedClient:
        if address not in self._clients:
            self._clients[address] = RenewedClient(lambda: self._connect(address), self._aside, self._renewal_wait_s)
        return self._clients[address]

    async def slots(self) -> Slots:
        """Return the slot table; query it only if it is unknown. Concurrent callers wait for the same query.

        It is renewed regularly from the nodes that the URL names: the names may lead to another cluster by now, while
        the old one still replies.
        """
        if self._slots is not None and time.monotonic() >= self._due_at:
            await asyncio.wait((self._renew(),), timeout=self._renewal_wait_s)
        if self._slots is not None:
            return self._slots
        if self._learning is None or self._learning.done():
            self._learning = self._aside.start(self._learn())
        return await asyncio.shield(self._learning)

    def move(self, slot: int, master: Address) -> None:
        """Record the slot's new master, as a node reported it."""
        if self._slots is not None:
            self._slots.move(slot, master)

    def doubt(self, address: Address) -> None:
        """Drop the slot table after a failure of this node: the table may be outdated."""
        self._slots, self.doubted = None, address

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def _learn(self) -> Slots:
        return self._use(await self._first_answer(self._named, self._ask))

    def _renew(self) -> asyncio.Task[None]:
        """Start a renewal, or join the running one. When it ends, the next one is scheduled, also after a failure."""
        if self._renewal is None or self._renewal.done():
            self._renewal = self._aside.start(self._ask_seeds_again())
        return self._renewal

    async def _ask_seeds_again(self) -> None:
        known, said = self._slots, None
        with contextlib.suppress(RedisError, *LOST):
            said = await self._first_answer(self._seeds, self._ask_anew)
        self._due_at = renewal_due_at()
        # Fewer slots: the node has left the cluster, and its table is old. Another table: a node failed meanwhile.
        if said is not None and known is not None and known is self._slots and said.served >= known.served:
            self._use(said)

    def _use(self, slots: Slots) -> Slots:
        self._slots = slots
        self._due_at = renewal_due_at()
        self._named = self._seeds | slots.nodes
        self._forget_strangers()
        return slots

    async def _first_answer(
        self, nodes: Collection[Address], ask: Callable[[Address], Coroutine[Any, Any, Slots]]
    ) -> Slots:
        order = sorted(nodes, key=lambda node: (node == self.doubted, random.random()))  # noqa: S311 - no secret
        failure: Exception = ClusterError("no node is known")
        for first in range(0, len(order), ASKED_AT_ONCE):
            asked = [self._aside.start(ask(address)) for address in order[first : first + ASKED_AT_ONCE]]
            for answer in asyncio.as_completed(asked):
                try:
                    return await answer
                except (RedisError, *LOST) as error:
                    failure = error
        raise failure

    async def _ask_anew(self, address: Address) -> Slots:
        """Query over a new connection, to the address that the node's name has now."""
        await self.client(address).renew()
        return await self._ask(address)

    async def _ask(self, address: Address) -> Slots:
        try:
            answer = await self.client(address).run("CLUSTER", "SLOTS")
        except ResponseError as error:
            if type(error) is ResponseError:  # a missing permission and a loading server have subclasses
                raise NotAClusterError("it has no cluster support") from None
            raise
        try:
            return Slots(answer, address)
        except (AttributeError, IndexError, TypeError, ValueError):
            raise NotAClusterError("its table is none") from None

    def _forget_strangers(self) -> None:
        """Close the connections to nodes that left the cluster: new nodes may come under new addresses without end."""
        for address in self._clients.keys() - self._named:
            self._clients.pop(address).leave()
