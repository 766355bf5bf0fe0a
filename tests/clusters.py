"""A Redis cluster of three masters on loopback, and a replica where one is wanted, for tests."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot

from tests.sentinels import SETTLE_LIMIT_S, wait_until
from tests.servers import RedisServer, free_port

NODE_TIMEOUT_S = 1.0
FAILOVER_LIMIT_S = 60
"""What the others may take to agree that a master is gone and to elect its replica, on a busy machine."""
_BUS = 10_000


class Node(RedisServer):
    """One node, not yet in a cluster."""

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        folder.mkdir()
        tls_port = _free_node_port() if tls else 0
        options = (*options, "--tls-cluster", "yes", "--tls-port", str(tls_port)) if tls else options
        super().__init__(
            folder, "--cluster-enabled", "yes", "--cluster-node-timeout", f"{NODE_TIMEOUT_S * 1000:.0f}",
            "--cluster-require-full-coverage", "no", "--cluster-allow-replica-migration", "no", *options,
            port=_free_node_port(),
        )  # fmt: skip
        self.tls_port = tls_port

    @property
    def node_id(self) -> str:
        return str(self.command("CLUSTER", "MYID").decode())

    @property
    def known(self) -> dict[str, str]:
        """Node id to flags, as this node sees them."""
        lines = [line.split() for line in self.command("CLUSTER", "NODES").decode().splitlines()]
        return {node_id: flags for node_id, _, flags, *_ in lines}


class ClusterTrio:
    """Starts settled: three masters with a third of the slots each, all of which know each other."""

    def __init__(self, folder: Path, *options: str, tls: bool = False) -> None:
        self._folder = folder
        self._tls = tls
        self.nodes = [Node(folder / str(number), *options, tls=tls) for number in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{node.tls_port or node.port}" for node in self.nodes[:3])
        return f"{'rediss' if self._tls else 'redis'}+cluster://{hosts}"

    @contextlib.contextmanager
    def started(self) -> Iterator[Self]:
        """Start it, and stop it in the end."""
        try:
            self._start()
            yield self
        finally:
            self.stop()

    def _start(self) -> None:
        share = REDIS_CLUSTER_HASH_SLOTS // 3 + 1
        for number, node in enumerate(self.nodes):
            node.start()
            node.command("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            slots = range(number * share, min((number + 1) * share, REDIS_CLUSTER_HASH_SLOTS))
            node.command("CLUSTER", "ADDSLOTS", *slots)
        for node in self.nodes[1:]:
            node.command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].tls_port or self.nodes[0].port)
        self._settle()

    def stop(self) -> None:
        for node in self.nodes:
            node.stop()

    def add(self) -> Node:
        """A node more, a master without slots; not for TLS."""
        node = Node(self._folder / str(len(self.nodes)))
        self.nodes.append(node)
        node.start()
        node.command("CLUSTER", "MEET", "127.0.0.1", self.nodes[0].port)
        self._settle()
        return node

    def cover(self, master: Node) -> Node:
        """Give this master a replica; returns when that could stand in."""
        replica = self.add()
        replica.command("CLUSTER", "REPLICATE", master.node_id)
        wait_until(lambda: replica.command("INFO", "replication")["master_link_status"] == "up", SETTLE_LIMIT_S)
        wait_until(lambda: all("slave" in node.known[replica.node_id] for node in self.running), SETTLE_LIMIT_S)
        return replica

    @property
    def running(self) -> list[Node]:
        return [node for node in self.nodes if node.is_running]

    def owner(self, slot: int) -> Node:
        """Who serves the slot, once all that run agree."""
        wait_until(lambda: len(self._owners(slot)) == 1, FAILOVER_LIMIT_S)
        return next(node for node in self.nodes if node.port in self._owners(slot))

    def promoted(self, replica: Node, slot: int) -> float:
        """Wait until all agree that this one serves the slot; how long that took."""
        return wait_until(lambda: self._owners(slot) == {replica.port}, FAILOVER_LIMIT_S)

    def begin_move(self, slot: int, source: Node, target: Node) -> None:
        """From now on the source answers ASK for keys it does not have."""
        target.command("CLUSTER", "SETSLOT", slot, "IMPORTING", source.node_id)
        source.command("CLUSTER", "SETSLOT", slot, "MIGRATING", target.node_id)

    def move_keys(self, slot: int, source: Node, target: Node, count: int = 100) -> int:
        """Move this many keys, in one step, and answer how many there were."""
        keys = source.command("CLUSTER", "GETKEYSINSLOT", slot, count)
        if keys:
            source.command("MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "KEYS", *keys)
        return len(keys)

    def end_move(self, slot: int, target: Node) -> None:
        """The target owns the slot, and every master knows."""
        for node in sorted(self.running, key=lambda node: node is not target):
            if "master" in node.known[node.node_id]:
                node.command("CLUSTER", "SETSLOT", slot, "NODE", target.node_id)

    def _owners(self, slot: int) -> set[int]:
        ranges = [each for node in self.running for each in node.command("CLUSTER", "SLOTS")]
        return {int(master[1]) for first, last, master, *_ in ranges if first <= slot <= last}

    def _settle(self) -> None:
        def settled() -> bool:
            knows_all = all(len(node.known) == len(self.nodes) for node in self.nodes)
            return knows_all and all(b"cluster_state:ok" in node.command("CLUSTER", "INFO") for node in self.nodes)

        wait_until(settled, SETTLE_LIMIT_S)


def slot_of(profile_id: str) -> int:
    """Where the keys of a profile live."""
    return key_slot(f"pts:{{{profile_id}}}:gate".encode())


def _free_node_port() -> int:
    """The nodes' own bus uses the port 10,000 further on."""
    while True:
        port = free_port()
        with contextlib.suppress(OSError), socket.socket() as bus:
            bus.bind(("127.0.0.1", port + _BUS))
            return port
