"""Finds the servers of a store's URL, and problems of the sentinels or nodes that should name them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ClusterDownError, ResponseError

from sidecar.core.model import Address
from sidecar.core.store_url import RedisUrl, Topology
from sidecar.stores.redis.connection import Connecting
from sidecar.stores.redis.error_texts import code_of, words_for
from sidecar.stores.redis.nodes import Slots
from sidecar.stores.redis.probe import CLUSTER_RIGHTS, FAILURES, SENTINEL_RIGHTS
from sidecar.stores.trial import Finding

_NO_SENTINEL = "it is no sentinel: a server is redis://"
_NO_CLUSTER = "it has no cluster support: a single server is redis://"
_SENTINEL_LOGIN = "it takes a user and password of its own: sentinel_username and sentinel_password_file"
_UNKNOWN = "it knows no service of the name in SIDECAR_STORE: look at sentinel monitor in its settings"


@dataclass(slots=True)
class Places:
    """`masters` are written to, each with a key that it serves; `others` are replicas that may replace one."""

    findings: list[Finding] = field(default_factory=list)
    masters: dict[Address, str] = field(default_factory=dict)
    others: set[Address] = field(default_factory=set)
    slots: Slots | None = None

    def master_of(self, key: str) -> Address:
        return next(iter(self.masters)) if self.slots is None else self.slots.master_of(key_slot(key.encode()))


async def locate(url: RedisUrl, connecting: Connecting, key_of: Callable[[int], str]) -> Places:
    """Query the sentinels or nodes, if any, over connections of `connecting`. Return the servers.

    `key_of` returns a key for any number, the same key for the same number.
    """
    match url.topology:
        case Topology.SENTINEL:
            return await _by_sentinels(url, connecting, key_of(0))
        case Topology.CLUSTER:
            return await _by_nodes(url, connecting, key_of)
        case _:
            return Places(masters={url.addresses[0]: key_of(0)})


async def _by_sentinels(url: RedisUrl, connecting: Connecting, key: str) -> Places:
    """Return the master that most sentinels name. A failed sentinel is only a note while others name a master."""
    wrong: dict[Address, str] = {}
    votes: dict[Address, int] = {}
    for sentinel in url.addresses:
        try:
            answer = await connecting.ask(sentinel, "SENTINEL", "GET-MASTER-ADDR-BY-NAME", url.service)
            if answer is None:
                wrong[sentinel] = _UNKNOWN
                continue
            master = Address(answer[0].decode(), int(answer[1]))
        except FAILURES as error:
            words = _words(error, url, SENTINEL_RIGHTS, _NO_SENTINEL)
            wrong[sentinel] = _SENTINEL_LOGIN if code_of(error) in ("NOAUTH", "WRONGPASS") else words
        except (AttributeError, IndexError, TypeError, ValueError):
            wrong[sentinel] = _NO_SENTINEL
        else:
            votes[master] = votes.get(master, 0) + 1
    places = Places(_findings(wrong, are_notes=bool(votes)))
    if len(votes) > 1:
        named = ", ".join(map(str, votes))
        places.findings.append(Finding(f"the sentinels name different masters: {named}", is_note=True))
    if votes:
        places.masters = {max(votes, key=lambda master: votes[master]): key}
    return places


async def _by_nodes(url: RedisUrl, connecting: Connecting, key_of: Callable[[int], str]) -> Places:
    wrong: dict[Address, str] = {}
    slots: Slots | None = None
    named: set[Address] = set()
    for node in url.addresses:
        try:
            slots = Slots(await connecting.ask(node, "CLUSTER", "SLOTS"), node)
            named |= slots.nodes
        except FAILURES as error:
            wrong[node] = _words(error, url, CLUSTER_RIGHTS, _NO_CLUSTER)
        except (AttributeError, IndexError, TypeError, ValueError):
            wrong[node] = _NO_CLUSTER
    if slots is None:
        return Places(_findings(wrong, are_notes=False))
    places = Places(_findings(wrong, are_notes=True), slots=slots)
    owners, unserved = _owners(slots)
    if unserved:
        words = f"{unserved} of {REDIS_CLUSTER_HASH_SLOTS} slots are served by nobody: see CLUSTER INFO"
        places.findings.append(Finding(words, str(url.addresses[0])))
    number = 0
    while len(places.masters) < len(set(owners.values())):
        key = key_of(number)
        if owner := owners.get(key_slot(key.encode())):
            places.masters.setdefault(owner, key)
        number += 1
    places.others = named - places.masters.keys()
    return places


def _owners(slots: Slots) -> tuple[dict[int, Address], int]:
    """Return the master of each slot, and the number of slots without a master."""
    owners: dict[int, Address] = {}
    for slot in range(REDIS_CLUSTER_HASH_SLOTS):
        try:
            owners[slot] = slots.master_of(slot)
        except ClusterDownError:
            continue
    return owners, REDIS_CLUSTER_HASH_SLOTS - len(owners)


def _words(error: Exception, url: RedisUrl, rights: str, not_known: str) -> str:
    if code_of(error) == "NOPERM":
        return f"its user lacks {rights.split()[-1]}: ACL SETUSER … {rights}"
    if isinstance(error, ResponseError) and code_of(error) == "ERR":
        return not_known
    return words_for(error, url)


def _findings(wrong: dict[Address, str], *, are_notes: bool) -> list[Finding]:
    return [Finding(words, str(address), is_note=are_notes) for address, words in wrong.items()]
