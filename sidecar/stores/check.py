"""Checks whether a store can be used as `serve` uses it, with every operation, on a separate key."""

from __future__ import annotations

from sidecar.core.errors import StoreError
from sidecar.core.model import Profile, Seconds, Secret
from sidecar.core.ports import Clock
from sidecar.core.store_url import is_redis_url
from sidecar.stores.factory import Store
from sidecar.stores.finding import Finding, finding_of
from sidecar.stores.memory import MemoryStore
from sidecar.stores.trial import trial_profile, try_operations


async def check_store(store: Store, url: Secret, *, timeout_s: Seconds, clock: Clock) -> list[Finding]:
    """Return what is wrong and what could not be checked; `url` and `timeout_s` are those it was opened with."""
    if is_redis_url(url.reveal()):
        # Imported late: memory:// runs without redis-py.
        from sidecar.stores.redis.check import check_redis

        return await check_redis(store, url, timeout_s=timeout_s, clock=clock)
    if isinstance(store, MemoryStore):
        return []  # in this process's memory, so it is always usable
    profile = trial_profile(clock)
    try:
        try:
            await try_operations(store.shared_state(profile), clock)
        finally:
            await _forget(store, profile)
    except StoreError as error:
        return [finding_of(error)]
    return []


async def _forget(store: Store, profile: Profile) -> None:
    from sidecar.stores.sqlite.store import SqliteStore  # imported late, as the store itself is

    if isinstance(store, SqliteStore):
        await store.forget(profile)
