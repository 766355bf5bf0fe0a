"""A name of Redis leads to another server, while the old one lives on: it is followed, and nothing is cut."""

from __future__ import annotations

import asyncio

import pytest

from sidecar.core.model import Address
from sidecar.resolver import Resolver
from sidecar.stores.redis import replaceable_pool
from sidecar.stores.redis.cluster import ClusterServers
from sidecar.stores.redis.replaceable_pool import (
    MAX_CONNECTIONS,
    RENEW_AFTER_S,
    ClientFactory,
    renewal_due_at,
)
from sidecar.stores.redis.store import RedisStore
from tests.clusters import Node
from tests.contract.named import HERE, NOWHERE, THERE, named, pool_of, two_places
from tests.contract.worlds import PROFILE, an_ask, fetched
from tests.sentinels import SERVICE, Sentinel
from tests.servers import RedisServer
from tests.support.relays import black_hole, relay
from tests.support.replica import PATIENT_S, until
from tests.support.zone import AGAIN, UNKNOWN, Zone


@pytest.fixture
def always_due(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each operation renews the connection."""
    monkeypatch.setattr(replaceable_pool, "RENEW_AFTER_S", (0, 0))


def clients_of(server: RedisServer) -> int:
    """Connections, without the test's own."""
    return len(server.command("CLIENT", "LIST", "TYPE", "NORMAL").splitlines()) - 1


@pytest.mark.usefixtures("always_due")
async def test_a_moved_name_is_followed_while_the_old_server_lives_on(
    redis_server: RedisServer, own_redis_server: RedisServer, zone: Zone, port: int
) -> None:
    async with two_places(zone, port, (redis_server.port, own_redis_server.port)) as store:
        shared = store.shared_state(PROFILE)
        await fetched(shared, "access-here")
        zone.addresses["redis"] = (THERE,)
        assert (await shared.peek(0)).token_id == ""
        await shared.claim(an_ask())
    assert own_redis_server.command("DBSIZE") == 1


async def test_a_connection_is_kept_until_its_time_has_come(
    redis_server: RedisServer, own_redis_server: RedisServer, zone: Zone, port: int
) -> None:
    async with two_places(zone, port, (redis_server.port, own_redis_server.port)) as store:
        shared = store.shared_state(PROFILE)
        token = await fetched(shared, "access-here")
        zone.addresses["redis"] = (THERE,)
        assert (await shared.peek(0)).token_id == token.token_id
    assert zone.asked == ["redis"]


def test_a_fleet_does_not_renew_its_connections_all_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 0.0)
    due = sorted(renewal_due_at() for _ in range(1000))
    low, high = RENEW_AFTER_S
    assert low <= due[0] < low + 1
    assert high - 1 < due[-1] <= high


@pytest.mark.usefixtures("always_due")
@pytest.mark.parametrize("moved", [(NOWHERE,), AGAIN, UNKNOWN], ids=["refused", "no-answer", "no-name"])
async def test_a_renewal_that_fails_costs_nothing_while_the_old_server_answers(
    redis_server: RedisServer, zone: Zone, port: int, moved: tuple[str, ...] | OSError
) -> None:
    async with relay(HERE, port, redis_server.port), named(f"redis://redis:{port}", zone) as store:
        shared = store.shared_state(PROFILE)
        token = await fetched(shared, "access-here")
        zone.addresses["redis"] = moved
        states = [await shared.peek(0) for _ in range(5)]
        assert {state.token_id for state in states} == {token.token_id}


@pytest.mark.usefixtures("always_due")
async def test_a_renewal_that_hangs_is_waited_for_a_part_of_the_operations_time(
    redis_server: RedisServer, zone: Zone, port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaceable_pool, "OPTIONAL_WAIT", 0.1 / PATIENT_S)
    async with relay(HERE, port, redis_server.port), named(f"redis://redis:{port}", zone) as store:
        shared = store.shared_state(PROFILE)
        token = await fetched(shared, "access-here")
        zone.addresses["redis"] = (THERE,)
        # It ends before the store is closed, which waits for the renewal.
        with black_hole(THERE, port):
            assert (await shared.peek(0)).token_id == token.token_id


@pytest.mark.usefixtures("always_due")
async def test_a_renewal_cuts_no_operation_that_is_under_way(
    redis_server: RedisServer, own_redis_server: RedisServer, zone: Zone, port: int
) -> None:
    async with two_places(zone, port, (own_redis_server.port, redis_server.port)) as store:
        shared = store.shared_state(PROFILE)
        token = await fetched(shared, "access-here")
        await shared.peek(0)  # its script is known from now on
        own_redis_server.pause()
        slow = asyncio.create_task(shared.peek(0))
        client = pool_of(store)
        await until(lambda: bool(client.client.connection_pool._in_use_connections))
        old = client.client.connection_pool
        zone.addresses["redis"] = (THERE,)
        assert (await shared.peek(0)).token_id == ""
        own_redis_server.resume()
        assert (await slow).token_id == token.token_id
        await until(lambda: not any(each.is_connected for each in old._available_connections))


@pytest.mark.usefixtures("always_due")
async def test_renewed_connections_do_not_pile_up(redis_server: RedisServer, zone: Zone, port: int) -> None:
    async with relay(HERE, port, redis_server.port), named(f"redis://redis:{port}", zone) as store:
        shared = store.shared_state(PROFILE)
        for _ in range(20):
            await asyncio.gather(*(shared.peek(0) for _ in range(8)))
        await until(lambda: clients_of(redis_server) <= MAX_CONNECTIONS)
    await until(lambda: clients_of(redis_server) == 0)


@pytest.mark.usefixtures("always_due")
async def test_a_renewal_that_is_under_way_at_the_end_leaves_no_connection(redis_server: RedisServer) -> None:
    free = asyncio.Event()
    free.set()

    async def locate() -> Address:
        await free.wait()
        return Address("127.0.0.1", redis_server.port)

    factory = ClientFactory(PATIENT_S, Resolver(PATIENT_S))
    factory.optional_wait_s = 0.01
    client = factory.following_pool(locate, 0)
    await client.run("PING")
    free.clear()
    await client.run("PING")
    closing = asyncio.create_task(client.close())
    await asyncio.sleep(0)  # it has begun
    free.set()
    await closing
    await factory.background.ended()
    await until(lambda: clients_of(redis_server) == 0)


@pytest.mark.usefixtures("always_due")
async def test_the_sentinels_own_names_are_followed(
    redis_server: RedisServer,
    own_redis_server: RedisServer,
    zone: Zone,
    port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    sentinels = [
        Sentinel(tmp_path_factory.mktemp("sentinel"), server.port) for server in (redis_server, own_redis_server)
    ]
    try:
        old, new = (sentinel.start() for sentinel in sentinels)
        async with two_places(zone, port, (old.port, new.port), f"redis+sentinel://redis:{port}/{SERVICE}") as store:
            shared = store.shared_state(PROFILE)
            await fetched(shared, "access-here")
            zone.addresses["redis"] = (THERE,)
            assert (await shared.peek(0)).token_id == ""
            await shared.claim(an_ask())
        assert own_redis_server.command("DBSIZE") == 1
    finally:
        for sentinel in sentinels:
            sentinel.stop()


@pytest.mark.usefixtures("always_due")
async def test_a_cluster_that_was_moved_is_followed_by_the_names_of_the_url(
    clusters: tuple[Node, Node], zone: Zone, port: int
) -> None:
    old, new = clusters
    async with two_places(zone, port, (old.port, new.port), f"redis+cluster://redis:{port}") as store:
        shared = store.shared_state(PROFILE)
        await fetched(shared, "access-here")
        zone.addresses["redis"] = (THERE,)
        assert (await shared.peek(0)).token_id == ""
        await shared.claim(an_ask())
    assert new.command("DBSIZE") == 1


async def test_the_named_nodes_of_a_cluster_are_asked_over_new_connections(
    clusters: tuple[Node, Node], zone: Zone, port: int
) -> None:
    old, new = clusters
    async with two_places(zone, port, (old.port, new.port), f"redis+cluster://redis:{port}") as store:
        shared = store.shared_state(PROFILE)
        await fetched(shared, "access-here")
        zone.addresses["redis"] = (THERE,)
        assert isinstance(store, RedisStore)
        assert isinstance(store._client._servers, ClusterServers)
        store._client._servers._nodes._due_at = 0
        assert (await shared.peek(0)).token_id == ""


@pytest.mark.usefixtures("always_due")
async def test_a_named_node_that_has_left_its_cluster_is_not_believed(
    clusters: tuple[Node, Node], zone: Zone, port: int
) -> None:
    old, left = clusters
    left.command("CLUSTER", "DELSLOTS", *range(8_192, 16_384))
    async with two_places(zone, port, (old.port, left.port), f"redis+cluster://redis:{port}") as store:
        shared = store.shared_state(PROFILE)
        token = await fetched(shared, "access-here")
        zone.addresses["redis"] = (THERE,)
        assert (await shared.peek(0)).token_id == token.token_id
