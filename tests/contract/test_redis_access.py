"""How a server is reached: rights, unix sockets, databases, and URLs that cannot be used."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.core.errors import ConfigurationError, StoreError
from sidecar.core.store_url import parse_store_url
from sidecar.resolver import Resolver
from sidecar.stores.factory import open_store
from sidecar.stores.redis.probe import LEAST_RIGHTS
from sidecar.stores.redis.replaceable_pool import ClientFactory
from tests.contract.operations import OPERATIONS, opened, run_one
from tests.contract.worlds import PROFILE, an_ask, granted
from tests.servers import RedisServer, free_port
from tests.support.hand_clock import HandClock
from tests.support.store_urls import redis_url


async def test_the_least_rights_suffice(own_redis_server: RedisServer) -> None:
    own_redis_server.command("ACL", "SETUSER", "sidecar", "on", ">canary-password", *LEAST_RIGHTS.split())
    url = f"redis://sidecar:canary-password@127.0.0.1:{own_redis_server.port}"
    async with opened(url) as store:
        await store.ping()
        for operation in OPERATIONS:
            await run_one(store.shared_state(PROFILE), operation)


@pytest.mark.parametrize("right", LEAST_RIGHTS.split()[4:])
async def test_none_of_the_least_rights_can_be_spared(own_redis_server: RedisServer, right: str) -> None:
    own_redis_server.command("SCRIPT", "FLUSH")
    rules = [rule for rule in LEAST_RIGHTS.split() if rule != right]
    own_redis_server.command("ACL", "SETUSER", "sidecar", "on", ">canary-password", *rules)
    url = f"redis://sidecar:canary-password@127.0.0.1:{own_redis_server.port}"
    async with opened(url) as store:
        answers = [
            *await asyncio.gather(store.ping(), return_exceptions=True),
            *await asyncio.gather(store.shared_state(PROFILE).claim(an_ask()), return_exceptions=True),
        ]
    assert any(isinstance(answer, StoreError) for answer in answers)
    assert "canary" not in str(answers)


async def test_another_database_takes_one_right_more(own_redis_server: RedisServer) -> None:
    own_redis_server.command("ACL", "SETUSER", "sidecar", "on", ">canary-password", *LEAST_RIGHTS.split())
    async with opened(f"redis://sidecar:canary-password@127.0.0.1:{own_redis_server.port}/3") as store:
        with pytest.raises(StoreError):
            await store.ping()
        own_redis_server.command("ACL", "SETUSER", "sidecar", "+select")
        await granted(store.shared_state(PROFILE))


async def test_a_unix_socket_is_as_good(redis_server: RedisServer) -> None:
    async with opened(redis_server.unix_url) as store:
        await store.ping()
        await granted(store.shared_state(PROFILE))


async def test_the_urls_database_is_used(redis_server: RedisServer) -> None:
    async with opened(f"{redis_server.url}/3") as store:
        await granted(store.shared_state(PROFILE))
    assert redis_server.command("DBSIZE") == 0
    assert "db3" in redis_server.command("INFO", "keyspace")


def test_a_store_outside_the_process_needs_a_sealer() -> None:
    with pytest.raises(ConfigurationError, match="SIDECAR_SEAL_KEY_FILE"):
        open_store(parse_store_url("redis://127.0.0.1"), timeout_s=1, sealer=None, clock=HandClock())


async def test_time_limits_and_retries_are_ours() -> None:
    url = redis_url("redis://127.0.0.1:1")
    connection = ClientFactory(0.25, Resolver(1)).connection(url.addresses[0])
    assert (connection.socket_timeout, connection.socket_connect_timeout) == (0.25, 0.25)
    assert connection.retry._retries == 0


async def test_a_server_that_was_demoted_is_looked_up_again(own_redis_server: RedisServer) -> None:
    """Behind one name there may be another master by now: no connection of before is kept."""
    async with opened(own_redis_server.url) as store:
        shared = store.shared_state(PROFILE)
        await asyncio.gather(*(shared.peek(0) for _ in range(8)))
        own_redis_server.command("REPLICAOF", "127.0.0.1", free_port())
        before = own_redis_server.command("INFO", "stats")["total_connections_received"]
        with pytest.raises(StoreError):
            await shared.claim(an_ask())
        own_redis_server.command("REPLICAOF", "NO", "ONE")
        await granted(shared)
        assert own_redis_server.command("INFO", "stats")["total_connections_received"] == before + 1
