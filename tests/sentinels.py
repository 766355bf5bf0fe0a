"""A master, its replica and three sentinels on loopback, for tests."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Self

from tests.servers import POLL_S, RedisServer, server_binary

SERVICE = "main"
DOWN_AFTER_S = 1.0
SETTLE_LIMIT_S = 60
FAILOVER_LIMIT_S = 60
"""What the sentinels may take to agree that the master is gone and to promote the replica, on a busy machine."""


def wait_until(condition: Callable[[], bool], within_s: float) -> float:
    """Look until it holds, for code without a loop; answers how long that took."""
    began = time.monotonic()
    while not condition():
        if time.monotonic() - began > within_s:
            raise TimeoutError(f"not within {within_s} s")
        time.sleep(POLL_S)
    return time.monotonic() - began


class Sentinel(RedisServer):
    """One sentinel. What it learns lies in its file, over `stop` and `start`."""

    def __init__(self, folder: Path, master_port: int, *lines: str) -> None:
        super().__init__(folder)
        self._config = folder / "sentinel.conf"
        own = (f"port {self.port}", "bind 127.0.0.1", f"dir {folder}", f"unixsocket {self.socket_path}")
        watched = (
            f"monitor {SERVICE} 127.0.0.1 {master_port} 2",
            f"down-after-milliseconds {SERVICE} {DOWN_AFTER_S * 1000:.0f}",
            f"failover-timeout {SERVICE} 3000",
        )
        self._config.write_text("\n".join((*own, *(f"sentinel {each}" for each in watched), *lines)))

    def master_port(self) -> int:
        return int(self.command("SENTINEL", "GET-MASTER-ADDR-BY-NAME", SERVICE)[1])

    def watch(self, master: RedisServer) -> None:
        """From now on it names this one."""
        self.command("SENTINEL", "REMOVE", SERVICE)
        self.command("SENTINEL", "MONITOR", SERVICE, "127.0.0.1", master.port, 1)

    def is_settled(self) -> bool:
        """Whether it knows both others and the replica."""
        words = iter(self.command("SENTINEL", "MASTER", SERVICE))
        state = dict(zip(words, words, strict=True))
        return (state[b"num-other-sentinels"], state[b"num-slaves"], state[b"flags"]) == (b"2", b"1", b"master")

    def _command(self) -> list[str]:
        return [server_binary(), str(self._config), "--sentinel"]


class SentinelTrio:
    """One service. Starts settled: every sentinel knows the replica and the other two."""

    def __init__(self, folder: Path) -> None:
        first = RedisServer(_made(folder / "1"))
        second = RedisServer(_made(folder / "2"), "--replicaof", "127.0.0.1", str(first.port))
        self.servers = [first, second]
        self.sentinels = [Sentinel(_made(folder / f"s{number}"), first.port) for number in range(3)]

    @property
    def url(self) -> str:
        hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{hosts}/{SERVICE}"

    @property
    def master(self) -> RedisServer:
        """As the sentinels see it, once they agree."""
        wait_until(lambda: len(self._named()) == 1, FAILOVER_LIMIT_S)
        return next(server for server in self.servers if server.port in self._named())

    @contextlib.contextmanager
    def started(self) -> Iterator[Self]:
        """Start it, and stop it in the end."""
        try:
            self._start()
            yield self
        finally:
            self.stop()

    def _start(self) -> None:
        for server in self.servers:
            server.start()
        self._replicates(self.servers[1])
        for sentinel in self.sentinels:
            sentinel.start()
        self.settle()

    def settle(self) -> None:
        """Wait until everybody is back, and knows everybody."""
        wait_until(lambda: all(sentinel.is_settled() for sentinel in self.sentinels), SETTLE_LIMIT_S)
        self._replicates(self.replica)

    def stop(self) -> None:
        for each in (*self.sentinels, *self.servers):
            each.stop()

    @property
    def replica(self) -> RedisServer:
        return next(server for server in self.servers if server is not self.master)

    def replicate(self) -> None:
        """Wait until the replica has everything."""
        wait_until(lambda: self.replica.has_caught_up_with(self.master), SETTLE_LIMIT_S)

    def failed_over(self, gone: RedisServer) -> float:
        """Wait until all sentinels name another master than this one; how long that took."""
        return wait_until(lambda: gone.port not in self._named() and len(self._named()) == 1, FAILOVER_LIMIT_S)

    def fail_over(self) -> float:
        """A planned failover, as an operator starts it; returns when it is done."""
        old = self.master
        self.sentinels[0].command("SENTINEL", "FAILOVER", SERVICE)
        return self.failed_over(old)

    def _replicates(self, replica: RedisServer) -> None:
        wait_until(lambda: replica.command("INFO", "replication").get("master_link_status") == "up", SETTLE_LIMIT_S)

    def _named(self) -> set[int]:
        return {sentinel.master_port() for sentinel in self.sentinels if sentinel.is_running}


def _made(folder: Path) -> Path:
    folder.mkdir()
    return folder
