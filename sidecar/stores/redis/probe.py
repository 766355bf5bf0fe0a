"""Tests one Redis server with every command, permission and key that a store needs, over separate connections.

The keys written have the form of the store's own keys and expire after a millisecond: deleting them would require one
more permission.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import Any, TypeAlias

from redis.asyncio.connection import AbstractConnection
from redis.crc import key_slot
from redis.exceptions import RedisError, ResponseError

from sidecar.core.model import Address
from sidecar.core.store_url import RedisUrl, Topology
from sidecar.stores.check import Finding
from sidecar.stores.redis.error_texts import CLUSTER_NODE, REPLICA, code_of, words_for
from sidecar.stores.redis.replaceable_pool import ClientFactory

OLDEST = (6, 2)
UNSEEN = "maxmemory-policy could not be read (it must be noeviction): check it with CONFIG GET, or give the user +info"
"""A note: the rights that a sidecar needs do not include INFO."""
SENTINEL = "it is a sentinel: use redis+sentinel://, with the service name in the path"
_OLD = "it is older than version 6.2, the oldest version this program is tested with"

LEAST_RIGHTS = "resetkeys ~pts:* resetchannels -@all +eval +evalsha +get +set +time +ping"
"""On a server; also behind sentinels. With a database other than 0: `+select` too."""

CLUSTER_RIGHTS = f"{LEAST_RIGHTS} +cluster|slots +asking"
"""On every node of a cluster."""

SENTINEL_RIGHTS = "resetkeys resetchannels -@all +sentinel|get-master-addr-by-name"
"""On the sentinels, which have users of their own."""

FAILURES = (RedisError, OSError, RuntimeError)
"""Errors of a server, or of the way to it; uvloop raises RuntimeError for a write to a closed transport."""
CONNECTIONS = 8
"""New ones to one name, which may stand for several servers: one of two is missed once in 128 times."""
Command: TypeAlias = tuple[str | int, ...]

_SCRIPT, _UNKNOWN_SCRIPT = "return 1", "0" * 40
_ANNOUNCED = {
    Topology.SERVER: "",
    Topology.SENTINEL: (
        "The sentinels announce this address: behind NAT they must announce one that is reachable from here "
        "(replica-announce-ip, sentinel announce-ip)"
    ),
    Topology.CLUSTER: (
        "The nodes announce this address: behind NAT they must announce one that is reachable from here "
        "(cluster-announce-ip, cluster-announce-hostname)"
    ),
}


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


def expiring(key: str) -> Command:
    """Return a command that replaces a key's value and lets the key expire after a millisecond."""
    return ("SET", key, "", "PX", 1)


class RedisProbe:
    """Tests the servers of one store."""

    def __init__(self, url: RedisUrl, factory: ClientFactory) -> None:
        self._url = url
        self._factory = factory

    async def find(self, address: Address, key: str) -> list[Finding]:
        """Return all problems and notes about how this server serves `key`, one of its own keys."""
        problems, notes = await self._look(address, key)
        if self._url.topology is Topology.SERVER and not address.path and set(problems) <= {REPLICA}:
            problems = await self._spread(address, key, problems)
        found = [Finding(words, str(address)) for words in problems]
        return [*found, *(Finding(words, str(address), is_note=True) for words in notes)]

    async def refused(self, address: Address, command: Command) -> str:
        """Send one command over a separate connection. Return why it failed, in words; empty on success."""
        try:
            async with self._factory.connected(address, self._url.database) as connection:
                error = await _refusal(connection, command)
        except FAILURES as failure:
            return self._kept_out(address, failure)
        return "" if error is None else words_for(error, self._url)

    async def _look(self, address: Address, key: str) -> tuple[list[str], list[str]]:
        """Return problems and notes."""
        problems: list[str] = []
        try:
            async with self._factory.connected(address, self._url.database) as connection:
                return await self._try(connection, key, problems)
        except FAILURES as error:
            return [*problems, self._kept_out(address, error)], []

    async def _try(self, connection: AbstractConnection, key: str, problems: list[str]) -> tuple[list[str], list[str]]:
        ping = await _refusal(connection, ("PING",))
        if ping is not None and code_of(ping) != "NOPERM":
            return [words_for(ping, self._url)], []
        try:
            info = read_info(await _ask(connection, ("INFO",)))
            notes = notes_in(info)
            problems += problems_in(info, self._url.topology)
        except ResponseError:
            notes = [UNSEEN]
        if problems == [SENTINEL]:
            return problems, []
        refusals = {"+ping": ping, **{right: await _refusal(connection, each) for right, each in self._rights(key)}}
        if refusals["+eval"] is None:
            refusals |= await self._refused_keys(connection, key)
        missing = [right for right, error in refusals.items() if error and code_of(error) == "NOPERM"]
        if "~pts:*" in missing:
            # Without permission for the keys, GET and SET fail whether these commands are permitted or not.
            missing = [right for right in missing if right not in ("+get", "+set")]
        if missing:
            problems.append(f"its user lacks {' '.join(missing)}: ACL SETUSER … {self._all_rights}")
        found = (words_for(error, self._url) for error in refusals.values() if error and not _is_expected(error))
        return list(dict.fromkeys([*problems, *found])), notes

    def _rights(self, key: str) -> list[tuple[str, Command]]:
        rights: list[tuple[str, Command]] = [
            ("+time", ("TIME",)),
            ("+eval", ("EVAL", _SCRIPT, 0)),
            ("+evalsha", ("EVALSHA", _UNKNOWN_SCRIPT, 0)),
            ("+get", ("GET", key)),
            ("+set", expiring(key)),
        ]
        return [*rights, ("+asking", ("ASKING",))] if self._url.topology is Topology.CLUSTER else rights

    async def _refused_keys(self, connection: AbstractConnection, key: str) -> dict[str, Exception | None]:
        """Test by scripts, which take any keys, whether the pattern is allowed and whether one may use two slots."""
        refusals = {"~pts:*": await _refusal(connection, ("EVAL", _SCRIPT, 1, key))}
        if self._url.topology is not Topology.CLUSTER:
            refusals["slots"] = await _refusal(connection, ("EVAL", _SCRIPT, 2, key, _key_elsewhere(key)))
            if code_of(refusals["slots"] or ResponseError()) == "NOPERM":
                del refusals["slots"]
        return refusals

    @property
    def _all_rights(self) -> str:
        rights = CLUSTER_RIGHTS if self._url.topology is Topology.CLUSTER else LEAST_RIGHTS
        return f"{rights} +select" if self._url.database else rights

    async def _spread(self, address: Address, key: str, first: list[str]) -> list[str]:
        """Test several connections: a Service may balance them over a master and its replicas."""
        replies = Counter([await self.refused(address, expiring(key)) for _ in range(CONNECTIONS)])
        if len(replies) == 1:
            return first or [words for words in replies if words]
        return [
            f"{count} of {CONNECTIONS} connections: {words}. The name must resolve to one server, not several"
            for words, count in replies.items()
            if words
        ]

    def _kept_out(self, address: Address, error: Exception) -> str:
        """Return the text for a failure before the first command: of the network, TLS, password or database."""
        code, database = code_of(error), self._url.database
        if database and code == "NOPERM":
            return f"its user lacks +select, which database {database} requires: add it, or use database 0"
        if database and code == "ERR" and isinstance(error, ResponseError):
            return f"it has no database {database}: use database 0, the only one on a cluster node"
        words = words_for(error, self._url)
        if code or address in self._url.addresses:
            return words
        return f"{words}. {_ANNOUNCED[self._url.topology]}"


async def _ask(connection: AbstractConnection, command: Command) -> Any:  # noqa: ANN401 - any command has any reply
    await connection.send_command(*command)
    return await connection.read_response()


async def _refusal(connection: AbstractConnection, command: Command) -> Exception | None:
    """Return the server's error reply, None if there is none; an error that ends the connection is raised."""
    try:
        await _ask(connection, command)
    except ResponseError as error:
        return error
    return None


def _is_expected(error: Exception) -> bool:
    """NOSCRIPT is the expected reply for an unknown script; missing permissions are reported separately."""
    return code_of(error) in ("NOPERM", "NOSCRIPT")


def _key_elsewhere(key: str) -> str:
    """Return a key of another slot that the same patterns allow."""
    others = (f"pts:{{other-{number}}}:gate" for number in range(key_slot(key.encode()) + 2))
    return next(other for other in others if key_slot(other.encode()) != key_slot(key.encode()))
