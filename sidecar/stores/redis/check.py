"""Checks whether a Redis store can be used as `serve` uses it; if not, what is wrong at which address."""

from __future__ import annotations

from sidecar.core.errors import StoreError
from sidecar.core.model import Seconds
from sidecar.core.ports import Clock
from sidecar.core.store_url import RedisUrl, Topology
from sidecar.file_operations import FileStalls
from sidecar.resolver import Resolver
from sidecar.stores.factory import Store
from sidecar.stores.redis.access import Access
from sidecar.stores.redis.connection import Connecting
from sidecar.stores.redis.places import Places, locate
from sidecar.stores.redis.probe import CONNECTIONS, RedisProbe, expiring
from sidecar.stores.trial import Finding, finding_of, trial_profile, try_operations


async def check_redis(store: Store, url: RedisUrl, *, timeout_s: Seconds, clock: Clock) -> list[Finding]:
    """Test each server that can be located, then the store with its own scripts. Return the findings."""
    trial_id = clock.new_id()
    resolver = Resolver(timeout_s)
    access = Access(url, FileStalls(), timeout_s)
    to_servers = Connecting(timeout_s, resolver, access.server, access.certificates)
    to_sentinels = Connecting(timeout_s, resolver, access.sentinel, access.certificates)
    asked = to_sentinels if url.topology is Topology.SENTINEL else to_servers
    places = await locate(url, asked, lambda number: f"pts:{{check-{trial_id}-{number}}}:gate")
    probe = RedisProbe(url, to_servers)
    findings = places.findings
    for address, key in places.masters.items():
        findings += await probe.find(address, key)
    for address in places.others:
        if words := await probe.refused(address, ("PING",)):
            findings.append(Finding(f"a replica that may become the master: {words}", str(address), is_note=True))
    if places.masters and all(finding.is_note for finding in findings):
        findings += await _try_store(store, clock, probe, places)
    return findings


async def _try_store(store: Store, clock: Clock, probe: RedisProbe, places: Places) -> list[Finding]:
    profile = trial_profile(clock)
    try:
        await try_operations(store.shared_state(profile), clock)
    except StoreError as error:
        return [finding_of(error)]
    finally:
        for part in ("gate", "token"):
            await _remove(f"pts:{{{profile.profile_id}}}:{part}", probe, places)
    return []


async def _remove(key: str, probe: RedisProbe, places: Places) -> None:
    """Remove the key. If this fails, the key expires within a week."""
    for _ in range(CONNECTIONS):
        if not await probe.refused(places.master_of(key), expiring(key)):
            return
