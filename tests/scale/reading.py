"""What a server says of its own work, less what asking it cost."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, fields
from typing import Self

from tests.servers import RedisServer

OWN_CONNECTIONS = 2
"""The meter's, and the one that `RedisServer` keeps."""


@dataclass(frozen=True)
class Reading:
    """Counts since the server started; the difference of two is the work in between."""

    at_s: float
    operations: float
    """Scripts run. Each is one round trip; the GET, SET and TIME inside are not counted here."""
    reads: float
    writes: float
    in_bytes: float
    out_bytes: float
    cpu_s: float
    script_s: float
    replicas_cpu_s: float = 0
    """Of the processes that ask the server, where somebody reads it; the server does not know it."""

    def __sub__(self, earlier: Reading) -> Reading:
        return Reading(*(getattr(self, each.name) - getattr(earlier, each.name) for each in fields(self)))

    def __add__(self, other: Reading) -> Reading:
        return Reading(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def data_bytes(self) -> float:
        """Both ways, without the headers of TCP and IP."""
        return self.in_bytes + self.out_bytes


class Meter:
    """Reads one server, over a connection whose bytes it counts itself and takes off."""

    ASK = b"INFO all\r\n"

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self._socket = socket.create_connection(("127.0.0.1", redis.port))
        self._stream = self._socket.makefile("rwb")
        self._asked_bytes = self._told_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
        self._socket.close()

    def read(self) -> Reading:
        # The server counts a question before it answers, and an answer after that.
        told_before_bytes = self._told_bytes
        said = self._info()
        evalsha, load = _command(said, "evalsha"), _command(said, "eval")
        return Reading(
            at_s=time.monotonic(),
            operations=evalsha["calls"] + load["calls"],
            reads=_command(said, "get")["calls"],
            writes=_command(said, "set")["calls"],
            in_bytes=float(said["total_net_input_bytes"]) - self._asked_bytes,
            out_bytes=float(said["total_net_output_bytes"]) - told_before_bytes,
            cpu_s=float(said["used_cpu_user"]) + float(said["used_cpu_sys"]),
            script_s=(evalsha["usec"] + load["usec"]) / 1e6,
        )

    def connections(self) -> int:
        """Those of others."""
        return int(self._info()["connected_clients"]) - OWN_CONNECTIONS

    def profile_bytes(self) -> int:
        """What the server keeps for one profile, when there is only one."""
        return sum(int(self._redis.command("MEMORY", "USAGE", key)) for key in self._redis.command("KEYS", "pts:*"))

    def _info(self) -> dict[str, str]:
        self._stream.write(self.ASK)
        self._stream.flush()
        head = self._stream.readline()
        body = self._stream.read(int(head[1:]) + 2)
        self._asked_bytes += len(self.ASK)
        self._told_bytes += len(head) + len(body)
        lines = body.decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


def _command(said: dict[str, str], name: str) -> dict[str, float]:
    """`{"calls": …, "usec": …}` and more, since the server started."""
    told = said.get(f"cmdstat_{name}", "calls=0,usec=0")
    return {figure: float(value) for figure, value in (part.split("=") for part in told.split(","))}
