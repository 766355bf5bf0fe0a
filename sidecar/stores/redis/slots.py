"""Who serves which part of a Redis cluster's keys, as one of its nodes sees it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.exceptions import ClusterDownError

from sidecar.core.model import Address

_Range: TypeAlias = tuple[int, int, Address]


class Slots:
    """The answer to CLUSTER SLOTS, and what was heard since."""

    def __init__(self, answer: Sequence[Any], asked: Address) -> None:
        """`answer` is ranges of `[first, last, [host, port, …] of the master, the same of each replica …]`.

        A node that does not know its own name, or keeps it to itself, means the one that was `asked`.
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
        """How many slots somebody serves."""
        return sum(last - first + 1 for first, last, _ in self._ranges)

    def any_master(self, doubted: Address | None) -> Address:
        """A master, another than the doubted one if there is. Raises `ClusterDownError`."""
        masters = sorted({master for _, _, master in self._ranges}, key=lambda master: master == doubted)
        if not masters:
            raise ClusterDownError("nobody serves anything")
        return masters[0]

    def master_of(self, slot: int) -> Address:
        """Raises `ClusterDownError` where nobody serves it."""
        masters = (master for first, last, master in self._ranges if first <= slot <= last)
        master = self._moved.get(slot) or next(masters, None)
        if master is None:
            raise ClusterDownError("nobody serves the slot")
        return master

    def move(self, slot: int, master: Address) -> None:
        """A node said that somebody else serves it."""
        self._moved[slot] = master
        self.nodes.add(master)


def _host(said: bytes | None, asked: Address) -> str:
    return asked.host if said in (None, b"", b"?") else said.decode()
