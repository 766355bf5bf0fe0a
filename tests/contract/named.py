"""A store that is reached by a name, and where that leads."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sidecar.file_operations import FileStalls
from sidecar.resolver import Resolver
from sidecar.stores.factory import Store
from sidecar.stores.redis.access import OPTIONAL_WAIT, Access
from sidecar.stores.redis.client import OneServer, servers_of
from sidecar.stores.redis.replaceable_pool import ReplaceablePool
from sidecar.stores.redis.store import RedisStore
from tests.contract.operations import opened
from tests.support.relays import relay
from tests.support.replica import PATIENT_S
from tests.support.store_urls import redis_url
from tests.support.zone import Zone

HERE, THERE, NOWHERE = "127.0.0.2", "127.0.0.3", "127.0.0.4"


@asynccontextmanager
async def named(
    url: str, zone: Zone, timeout_s: float = PATIENT_S, look_up_wait_s: float = PATIENT_S * OPTIONAL_WAIT
) -> AsyncIterator[Store]:
    """A store whose names lead where the zone says."""
    async with opened(url, timeout_s) as store:
        assert isinstance(store, RedisStore)
        resolver = Resolver(look_up_wait_s, zone.look_up)
        await store._client._servers.close()
        parsed = redis_url(url)
        access = Access(parsed, FileStalls(), timeout_s)
        store._client._servers = servers_of(parsed, timeout_s, resolver, access)
        yield store


@asynccontextmanager
async def two_places(zone: Zone, port: int, ports: tuple[int, int], url: str = "") -> AsyncIterator[Store]:
    """A store at the name `redis`, and a server of each of these ports at the name's two places."""
    here, there = relay(HERE, port, ports[0]), relay(THERE, port, ports[1])
    async with here, there, named(url or f"redis://redis:{port}", zone) as store:
        yield store


def pool_of(store: Store) -> ReplaceablePool:
    """Of a single server."""
    assert isinstance(store, RedisStore)
    assert isinstance(store._client._servers, OneServer)
    return store._client._servers._pool
