"""Checks whether a Redis store can be used as `serve` uses it; if not, what is wrong at which address."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from redis.crc import REDIS_CLUSTER_HASH_SLOTS, key_slot
from redis.exceptions import ClusterDownError, ResponseError

from sidecar.core.errors import StoreError
from sidecar.core.model import Address, Seconds
from sidecar.core.ports import Clock
from sidecar.core.store_url import RedisUrl, Topology
from sidecar.file_operations import FileStalls
from sidecar.resolver import Resolver
from sidecar.stores.check import Finding, finding_of, trial_profile, try_operations
from sidecar.stores.factory import Store
from sidecar.stores.redis.access import Access
from sidecar.stores.redis.cluster import Slots
from sidecar.stores.redis.error_texts import code_of, words_for
from sidecar.stores.redis.probe import CLUSTER_RIGHTS, CONNECTIONS, FAILURES, SENTINEL_RIGHTS, RedisProbe, expiring
from sidecar.stores.redis.replaceable_pool import ClientFactory
from sidecar.stores.redis.sentinel import Sentinels

_NO_SENTINEL = "it is no sentinel: a server is redis://"
_NO_CLUSTER = "it has no cluster support: a single server is redis://"
_SENTINEL_LOGIN = "it takes a user and password of its own: sentinel_username and sentinel_password_file"
_UNKNOWN = "it knows no service of the name in SIDECAR_STORE: look at sentinel monitor in its settings"


@dataclass(slots=True)
class Located:
    """`masters` are written to, each with a key that it serves; `others` are replicas that may replace one."""

    findings: list[Finding] = field(default_factory=list)
    masters: dict[Address, str] = field(default_factory=dict)
    others: set[Address] = field(default_factory=set)
    slots: Slots | None = None

    def master_of(self, key: str) -> Address:
        return next(iter(self.masters)) if self.slots is None else self.slots.master_of(key_slot(key.encode()))


async def check_redis(store: Store, url: RedisUrl, *, timeout_s: Seconds, clock: Clock) -> list[Finding]:
    """Test each server that can be located, then the store with its own scripts. Return the findings."""
    trial_id = clock.new_id()
    resolver = Resolver(timeout_s)
    access = Access(url, FileStalls(), timeout_s)
    to_servers = ClientFactory(timeout_s, resolver, access.server, access.certificates)
    to_sentinels = ClientFactory(timeout_s, resolver, access.sentinel, access.certificates)
    asked = to_sentinels if url.topology is Topology.SENTINEL else to_servers
    located = await _locate(url, asked, lambda number: f"pts:{{check-{trial_id}-{number}}}:gate")
    probe = RedisProbe(url, to_servers)
    findings = located.findings
    for address, key in located.masters.items():
        findings += await probe.find(address, key)
    for address in located.others:
        if words := await probe.refused(address, ("PING",)):
            findings.append(Finding(f"a replica that may become the master: {words}", str(address), is_note=True))
    if located.masters and all(finding.is_note for finding in findings):
        findings += await _try_store(store, clock, probe, located)
    return findings


async def _try_store(store: Store, clock: Clock, probe: RedisProbe, located: Located) -> list[Finding]:
    profile = trial_profile(clock)
    try:
        await try_operations(store.shared_state(profile), clock)
    except StoreError as error:
        return [finding_of(error)]
    finally:
        for part in ("gate", "token"):
            await _remove(f"pts:{{{profile.profile_id}}}:{part}", probe, located)
    return []


async def _remove(key: str, probe: RedisProbe, located: Located) -> None:
    """Remove the key. If this fails, the key expires within a week."""
    for _ in range(CONNECTIONS):
        if not await probe.refused(located.master_of(key), expiring(key)):
            return


async def _locate(url: RedisUrl, factory: ClientFactory, key_of: Callable[[int], str]) -> Located:
    """Query the sentinels or nodes, if any, over connections of `factory`. Return the servers.

    `key_of` returns a key for any number, the same key for the same number.
    """
    match url.topology:
        case Topology.SENTINEL:
            return await _by_sentinels(url, factory, key_of(0))
        case Topology.CLUSTER:
            return await _by_nodes(url, factory, key_of)
        case _:
            return Located(masters={url.addresses[0]: key_of(0)})


async def _by_sentinels(url: RedisUrl, factory: ClientFactory, key: str) -> Located:
    """Return the master that most sentinels name. A failed sentinel is only a note while others name a master."""
    sentinels = Sentinels(url, factory)
    wrong: dict[Address, str] = {}
    votes: Counter[Address] = Counter()
    for sentinel in url.addresses:
        try:
            master = await sentinels.ask(sentinel)
            if master is None:
                wrong[sentinel] = _UNKNOWN
            else:
                votes[master] += 1
        except FAILURES as error:
            words = _words(error, url, SENTINEL_RIGHTS, _NO_SENTINEL)
            wrong[sentinel] = _SENTINEL_LOGIN if code_of(error) in ("NOAUTH", "WRONGPASS") else words
        except (AttributeError, IndexError, TypeError, ValueError):
            wrong[sentinel] = _NO_SENTINEL
    located = Located(_findings(wrong, are_notes=bool(votes)))
    if len(votes) > 1:
        named = ", ".join(map(str, votes))
        located.findings.append(Finding(f"the sentinels name different masters: {named}", is_note=True))
    if votes:
        located.masters = {votes.most_common(1)[0][0]: key}
    return located


async def _by_nodes(url: RedisUrl, factory: ClientFactory, key_of: Callable[[int], str]) -> Located:
    wrong: dict[Address, str] = {}
    slots: Slots | None = None
    named: set[Address] = set()
    for node in url.addresses:
        try:
            slots = Slots(await factory.ask(node, "CLUSTER", "SLOTS"), node)
            named |= slots.nodes
        except FAILURES as error:
            wrong[node] = _words(error, url, CLUSTER_RIGHTS, _NO_CLUSTER)
        except (AttributeError, IndexError, TypeError, ValueError):
            wrong[node] = _NO_CLUSTER
    if slots is None:
        return Located(_findings(wrong, are_notes=False))
    located = Located(_findings(wrong, are_notes=True), slots=slots)
    owners = {slot: master for slot in range(REDIS_CLUSTER_HASH_SLOTS) if (master := _owner(slots, slot)) is not None}
    if unserved := REDIS_CLUSTER_HASH_SLOTS - len(owners):
        words = f"{unserved} of {REDIS_CLUSTER_HASH_SLOTS} slots are served by nobody: see CLUSTER INFO"
        located.findings.append(Finding(words, str(url.addresses[0])))
    number = 0
    while len(located.masters) < len(set(owners.values())):
        key = key_of(number)
        if owner := owners.get(key_slot(key.encode())):
            located.masters.setdefault(owner, key)
        number += 1
    located.others = named - located.masters.keys()
    return located


def _owner(slots: Slots, slot: int) -> Address | None:
    try:
        return slots.master_of(slot)
    except ClusterDownError:
        return None


def _words(error: Exception, url: RedisUrl, rights: str, not_known: str) -> str:
    if code_of(error) == "NOPERM":
        return f"its user lacks {rights.split()[-1]}: ACL SETUSER … {rights}"
    if isinstance(error, ResponseError) and code_of(error) == "ERR":
        return not_known
    return words_for(error, url)


def _findings(wrong: dict[Address, str], *, are_notes: bool) -> list[Finding]:
    return [Finding(words, str(address), is_note=are_notes) for address, words in wrong.items()]
