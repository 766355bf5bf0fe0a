"""The nodes of a Redis cluster: connections to each, and what they say of each other."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence

from redis.asyncio import Redis
from redis.exceptions import ClusterError, RedisError, ResponseError

from sidecar.core.model import Address
from sidecar.stores.aside import Aside
from sidecar.stores.renewed import LOST, RenewedClient
from sidecar.stores.slots import Slots

ASKED_AT_ONCE = 3
"""Nodes that are asked who serves what; the first answer counts, so that a dead one costs nothing."""


class NotAClusterError(ClusterError):
    """The server answers, and is no node of a cluster."""


class Nodes:
    """Every node that was named, by the URL or by another node."""

    def __init__(self, seeds: Sequence[Address], connect: Callable[[Address], Redis], aside: Aside) -> None:
        self._seeds = frozenset(seeds)
        self._named = self._seeds
        """Whom the URL names, or a node did when it was last asked: each can tell about the others."""
        self._connect = connect
        self._aside = aside
        self._clients: dict[Address, RenewedClient] = {}
        self._slots: Slots | None = None
        self._learning: asyncio.Task[Slots] | None = None
        self.doubted: Address | None = None
        """The one that was last found wanting: asked last."""

    def client(self, address: Address) -> RenewedClient:
        if address not in self._clients:
            self._clients[address] = RenewedClient(lambda: self._connect(address), self._aside)
        return self._clients[address]

    async def slots(self) -> Slots:
        """Who serves what, asked only when nobody knows; whoever needs it meanwhile waits for the same answer."""
        if self._slots is not None:
            return self._slots
        if self._learning is None or self._learning.done():
            self._learning = self._aside.start(self._learn())
        return await asyncio.shield(self._learning)

    def move(self, slot: int, master: Address) -> None:
        """A node said that somebody else serves it."""
        if self._slots is not None:
            self._slots.move(slot, master)

    def doubt(self, address: Address) -> None:
        """It failed: what is known of the cluster may be of the past."""
        self._slots, self.doubted = None, address

    async def close(self) -> None:
        for client in self._clients.values():
            await client.close()

    async def _learn(self) -> Slots:
        order = sorted(self._named, key=lambda node: (node == self.doubted, random.random()))  # noqa: S311 - no secret
        failure: Exception = ClusterError("no node is known")
        for first in range(0, len(order), ASKED_AT_ONCE):
            asked = [self._aside.start(self._ask(address)) for address in order[first : first + ASKED_AT_ONCE]]
            for answer in asyncio.as_completed(asked):
                try:
                    self._slots = await answer
                except (RedisError, *LOST) as error:
                    failure = error
                else:
                    self._named = self._seeds | self._slots.nodes
                    self._forget_strangers()
                    return self._slots
        raise failure

    async def _ask(self, address: Address) -> Slots:
        try:
            answer = await self.client(address).run("CLUSTER", "SLOTS")
        except ResponseError as error:
            if type(error) is ResponseError:  # no right to ask, or still loading, are kinds of their own
                raise NotAClusterError("it has no cluster support") from None
            raise
        try:
            return Slots(answer, address)
        except (AttributeError, IndexError, TypeError, ValueError):
            raise NotAClusterError("its table is none") from None

    def _forget_strangers(self) -> None:
        """Nodes come and go under new addresses: who left the cluster keeps no connection."""
        for address in self._clients.keys() - self._named:
            self._clients.pop(address).leave()
