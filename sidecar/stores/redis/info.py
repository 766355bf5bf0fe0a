"""What a Redis server reports by INFO, if its user may run it."""

from __future__ import annotations

import re

from sidecar.core.redis_url import Topology
from sidecar.stores.redis.error_texts import CLUSTER_NODE, REPLICA

OLDEST = (6, 2)
UNSEEN = "maxmemory-policy could not be read (it must be noeviction): check it with CONFIG GET, or give the user +info"
"""A note: the rights that a sidecar needs do not include INFO."""
SENTINEL = "it is a sentinel: use redis+sentinel://, with the service name in the path"
_OLD = "it is older than version 6.2, the oldest version this program is tested with"


def read_info(reply: object) -> dict[str, str]:
    """Return the fields of a reply to INFO; none for any other reply."""
    lines = reply.decode(errors="replace").splitlines() if isinstance(reply, bytes) else []
    return dict(line.split(":", 1) for line in lines if ":" in line and not line.startswith("#"))


def problems_in(info: dict[str, str], topology: Topology) -> list[str]:
    """Return why this server cannot be used for a store of this topology."""
    problems = []
    mode = info.get("redis_mode") or info.get("server_mode")  # the second is Valkey's
    if mode == "sentinel":
        return [SENTINEL]
    if topology is not Topology.CLUSTER and mode == "cluster":
        problems.append(CLUSTER_NODE)
    if info.get("role") == "slave":
        # A writable replica loses its writes when it synchronises with its master again.
        problems.append(REPLICA)
    policy = info.get("maxmemory_policy", "noeviction")
    if info.get("maxmemory", "0") != "0" and policy != "noeviction":
        shown = policy if re.fullmatch(r"[a-z-]{1,32}", policy) else "another"
        problems.append(
            f"its maxmemory-policy is {shown}, which can remove leases and cool-downs: set noeviction, or use a "
            "separate server"
        )
    return problems


def notes_in(info: dict[str, str]) -> list[str]:
    """Return what is worth knowing, but does not prevent the use."""
    notes = []
    if "maxmemory_policy" not in info:
        notes.append(UNSEEN)
    version = re.match(r"([0-9]{1,4})\.([0-9]{1,4})", info.get("redis_version", ""))
    if version is not None and (int(version[1]), int(version[2])) < OLDEST:
        notes.append(_OLD)
    return notes
