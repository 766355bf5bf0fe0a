"""The slot table of a Redis cluster, as one of its nodes reports it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from redis.exceptions import ClusterDownError

from sidecar.core.model import Address

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
