"""A server's counters of its own work, without the cost of reading them."""

from __future__ import annotations

import socket
import time
from dataclasses import dataclass, fields
from typing import Self

from tests.servers import RedisServer

OWN_CONNECTIONS = 2
"""The connections of the meter and of `RedisServer`."""


@dataclass(frozen=True)
class Reading:
    """Counts since the server started. The difference of two is the work in between."""

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
    """The CPU time of the replicas; 0 unless the caller sets it, since the server does not count it."""

    def __sub__(self, earlier: Reading) -> Reading:
        return Reading(*(getattr(self, each.name) - getattr(earlier, each.name) for each in fields(self)))

    def __add__(self, other: Reading) -> Reading:
        return Reading(*(getattr(self, each.name) + getattr(other, each.name) for each in fields(self)))

    @property
    def data_bytes(self) -> float:
        """The bytes of both directions, without the headers of TCP and IP."""
        return self.in_bytes + self.out_bytes


class Meter:
    """Reads one server, over a connection whose own bytes it subtracts."""

    ASK = b"INFO all\r\n"

    def __init__(self, redis: RedisServer) -> None:
        self._redis = redis
        self._socket = socket.create_connection(("127.0.0.1", redis.port))
        self._stream = self._socket.makefile("rwb")
        self._asked_bytes = self._sent_bytes = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._stream.close()
        self._socket.close()

    def read(self) -> Reading:
        # The server counts a request before it answers, and the answer afterwards.
        sent_before_bytes = self._sent_bytes
        info = self._info()
        evalsha, load = _command(info, "evalsha"), _command(info, "eval")
        return Reading(
            at_s=time.monotonic(),
            operations=evalsha["calls"] + load["calls"],
            reads=_command(info, "get")["calls"],
            writes=_command(info, "set")["calls"],
            in_bytes=float(info["total_net_input_bytes"]) - self._asked_bytes,
            out_bytes=float(info["total_net_output_bytes"]) - sent_before_bytes,
            cpu_s=float(info["used_cpu_user"]) + float(info["used_cpu_sys"]),
            script_s=(evalsha["usec"] + load["usec"]) / 1e6,
        )

    def connections(self) -> int:
        """Return the number of connections of others."""
        return int(self._info()["connected_clients"]) - OWN_CONNECTIONS

    def profile_bytes(self) -> int:
        """Return the memory of the only profile in the server."""
        return sum(int(self._redis.command("MEMORY", "USAGE", key)) for key in self._redis.command("KEYS", "pts:*"))

    def _info(self) -> dict[str, str]:
        self._stream.write(self.ASK)
        self._stream.flush()
        head = self._stream.readline()
        body = self._stream.read(int(head[1:]) + 2)
        self._asked_bytes += len(self.ASK)
        self._sent_bytes += len(head) + len(body)
        lines = body.decode().splitlines()
        return dict(line.split(":", 1) for line in lines if ":" in line)


def _command(info: dict[str, str], name: str) -> dict[str, float]:
    """Return `{"calls": …, "usec": …}` and more, since the server started."""
    found = info.get(f"cmdstat_{name}", "calls=0,usec=0")
    return {figure: float(value) for figure, value in (part.split("=") for part in found.split(","))}
