"""How to reach a Redis store, as given by its URL.

    redis://[USER[:PASSWORD]@]HOST[:PORT][/DB]                      one server; rediss:// with TLS
    unix://[USER[:PASSWORD]@]/PATH[?db=N]                           the same through a socket
    redis+sentinel://[…@]HOST[:PORT],…/SERVICE[/DB]                 the hosts are sentinels; rediss+sentinel:// with TLS
    redis+cluster://[…@]HOST[:PORT],…                               the hosts are some nodes; rediss+cluster:// with TLS

The URL is one setting, so all of its options are in its query, from a closed list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from sidecar.core.model import Address, Secret


class Topology(StrEnum):
    """What runs at the URL's hosts."""

    SERVER = "redis"
    SENTINEL = "redis+sentinel"
    CLUSTER = "redis+cluster"


SCHEMES: Mapping[str, tuple[Topology, bool]] = {
    "redis": (Topology.SERVER, False),
    "rediss": (Topology.SERVER, True),
    "unix": (Topology.SERVER, False),
    "redis+sentinel": (Topology.SENTINEL, False),
    "rediss+sentinel": (Topology.SENTINEL, True),
    "redis+cluster": (Topology.CLUSTER, False),
    "rediss+cluster": (Topology.CLUSTER, True),
}
"""What each scheme means, and whether with TLS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisUrl:
    """How to reach the store. `addresses` are the server, the sentinels, or some nodes of the cluster."""

    topology: Topology
    tls: bool
    addresses: tuple[Address, ...]
    service: str = ""
    """The name under which the sentinels know the master; empty without sentinels."""
    database: int = 0
    username: str = ""
    password: Secret | None = None
    password_file: Path | None = None
    sentinel_username: str = ""
    sentinel_password_file: Path | None = None
    ca_file: Path | None = None
    """The only certificate authorities that are trusted; None: those of the system."""
    certificate_file: Path | None = None
    key_file: Path | None = None
