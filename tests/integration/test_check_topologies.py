"""`check` with sentinels, with a cluster, and with a URL for the wrong kind of server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sidecar.stores.redis.probe import CLUSTER_RIGHTS, LEAST_RIGHTS
from tests.clusters import ClusterTrio, Node
from tests.sentinels import SERVICE, SETTLE_LIMIT_S, Sentinel
from tests.servers import RedisServer, free_port
from tests.support.replica import until
from tests.support.store_check import failures, notes, store_lines

PASSWORD = "kanary-password"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterTrio]:
    with ClusterTrio(tmp_path_factory.mktemp("cluster")).started() as cluster:
        yield cluster


@pytest.fixture
def sentinel(own_redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinel]:
    """A sentinel that watches the server of this test."""
    sentinel = Sentinel(tmp_path_factory.mktemp("sentinel"), own_redis_server.port)
    yield sentinel.start()
    sentinel.stop()


def url_of(*sentinels: RedisServer, service: str = SERVICE) -> str:
    return f"redis+sentinel://{','.join(f'127.0.0.1:{each.port}' for each in sentinels)}/{service}"


async def test_a_master_behind_sentinels_is_fit_for_use(own_redis_server: RedisServer, sentinel: Sentinel) -> None:
    (line,) = await store_lines(url_of(sentinel))
    assert (line.ok, line.what) == (True, "store (redis+sentinel)")
    await until(lambda: own_redis_server.command("KEYS", "*") == [])


async def test_what_is_wrong_with_the_master_is_said_with_its_address(
    own_redis_server: RedisServer, sentinel: Sentinel
) -> None:
    own_redis_server.command("REPLICAOF", "127.0.0.1", free_port())
    found = await failures(url_of(sentinel))
    assert any(f"127.0.0.1:{own_redis_server.port}: it is a read-only replica" in failure for failure in found)


async def test_a_master_that_cannot_be_reached_is_said_to_be_announced(
    own_redis_server: RedisServer, sentinel: Sentinel
) -> None:
    own_redis_server.stop()
    (failure,) = await failures(url_of(sentinel))
    assert failure.startswith(f"127.0.0.1:{own_redis_server.port}: connection refused")
    assert "The sentinels announce this address: behind NAT" in failure


async def test_a_service_that_no_sentinel_knows_is_said(sentinel: Sentinel) -> None:
    (failure,) = await failures(url_of(sentinel, service="other"))
    assert failure.startswith(f"127.0.0.1:{sentinel.port}: it knows no service of the name in SIDECAR_STORE")


async def test_a_sentinel_that_does_not_help_is_a_note_while_another_does(
    own_redis_server: RedisServer, sentinel: Sentinel
) -> None:
    gone = free_port()
    (note,) = await notes(f"redis+sentinel://127.0.0.1:{gone},127.0.0.1:{sentinel.port}/{SERVICE}")
    assert note.startswith(f"127.0.0.1:{gone}: connection refused")
    (note,) = await notes(url_of(own_redis_server, sentinel))
    assert note == f"127.0.0.1:{own_redis_server.port}: it is no sentinel: a server is redis://"


async def test_sentinels_that_disagree_are_a_note(
    own_redis_server: RedisServer,
    redis_server: RedisServer,
    sentinel: Sentinel,
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    other = Sentinel(tmp_path_factory.mktemp("sentinel"), redis_server.port)
    other.start()
    try:
        (note,) = await notes(url_of(sentinel, other))
    finally:
        other.stop()
    assert note.startswith("the sentinels name different masters: ")
    assert str(own_redis_server.port) in note


async def test_the_right_to_ask_a_sentinel_is_named(sentinel: Sentinel) -> None:
    sentinel.command("ACL", "SETUSER", "default", "-sentinel|get-master-addr-by-name")
    try:
        (failure,) = await failures(url_of(sentinel))
    finally:
        sentinel.command("ACL", "SETUSER", "default", "+@all")
    assert "its user lacks +sentinel|get-master-addr-by-name: " in failure


async def test_a_sentinel_that_wants_a_password_has_options_of_its_own(sentinel: Sentinel) -> None:
    sentinel.command("ACL", "SETUSER", "default", "resetpass", f">{PASSWORD}")
    (failure,) = await failures(url_of(sentinel))
    assert failure.endswith("it takes a user and password of its own: sentinel_username and sentinel_password_file")


async def test_a_server_is_no_sentinel_and_a_sentinel_no_server(
    own_redis_server: RedisServer, sentinel: Sentinel
) -> None:
    (failure,) = await failures(url_of(own_redis_server))
    assert failure.endswith("it is no sentinel: a server is redis://")
    (failure,) = await failures(sentinel.url)
    assert failure.endswith("it is a sentinel: use redis+sentinel://, with the service name in the path")


async def test_a_server_is_no_cluster(own_redis_server: RedisServer) -> None:
    (failure,) = await failures(f"redis+cluster://127.0.0.1:{own_redis_server.port}")
    assert failure.endswith("it has no cluster support: a single server is redis://")


async def test_a_cluster_is_fit_for_use_and_no_node_keeps_a_key(cluster: ClusterTrio) -> None:
    assert await notes(cluster.url) == []
    for node in cluster.nodes:
        assert node.command_counts()["set"] > 0
        await until(lambda: node.command("KEYS", "*") == [])  # noqa: B023 - awaited in this round


@pytest.mark.parametrize("rights", ["+@all", LEAST_RIGHTS], ids=["all", "least"])
async def test_a_node_of_a_cluster_is_no_single_server(cluster: ClusterTrio, rights: str) -> None:
    node = cluster.nodes[0]
    node.command("ACL", "SETUSER", "sidecar", "reset", "on", f">{PASSWORD}", "~pts:*", *rights.split())
    (failure,) = await failures(f"redis://sidecar:{PASSWORD}@127.0.0.1:{node.port}")
    assert failure == f"127.0.0.1:{node.port}: it is a node of a cluster: use redis+cluster://"
    (failure,) = await failures(f"redis://127.0.0.1:{node.port}/1")
    assert failure.startswith(f"127.0.0.1:{node.port}: it has no database 1")


async def test_each_node_that_lacks_the_user_or_a_right_is_named(cluster: ClusterTrio) -> None:
    first, second, third = cluster.nodes
    for node in (first, second):
        node.command("ACL", "SETUSER", "sidecar", "reset", "on", f">{PASSWORD}", *CLUSTER_RIGHTS.split())
    second.command("ACL", "SETUSER", "sidecar", "-asking", "-time")
    third.command("ACL", "DELUSER", "sidecar")
    found = await failures(f"redis+cluster://sidecar:{PASSWORD}@127.0.0.1:{first.port}")
    assert sorted(found) == sorted([
        f"127.0.0.1:{second.port}: its user lacks +time +asking: ACL SETUSER … {CLUSTER_RIGHTS}",
        f"127.0.0.1:{third.port}: user or password is wrong, or the user is disabled",
    ])  # fmt: skip
    for node in (second, third):
        node.command("ACL", "SETUSER", "sidecar", "reset", "on", f">{PASSWORD}", *CLUSTER_RIGHTS.split())
    assert len(await notes(f"redis+cluster://sidecar:{PASSWORD}@127.0.0.1:{first.port}")) == 3, "no +info"


async def test_slots_that_nobody_serves_and_an_announced_address_are_said(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    announced = free_port()
    node = Node(tmp_path_factory.mktemp("node") / "n", "--cluster-announce-port", str(announced))
    node.start()
    try:
        node.command("CLUSTER", "ADDSLOTSRANGE", 0, 9999)
        await until(lambda: b"cluster_state:ok" in node.command("CLUSTER", "INFO"))
        found = await failures(f"redis+cluster://127.0.0.1:{node.port}")
    finally:
        node.stop()
    assert found[0] == f"127.0.0.1:{node.port}: 6384 of 16384 slots are served by nobody: see CLUSTER INFO"
    assert found[1].startswith(f"127.0.0.1:{announced}: connection refused")
    assert "The nodes announce this address: behind NAT" in found[1]


async def test_a_replica_that_could_not_stand_in_is_a_note(cluster: ClusterTrio) -> None:
    """This test is the last of the file: it adds a node to the cluster."""
    master = cluster.nodes[0]
    replica = await asyncio.to_thread(cluster.cover, master)
    assert await notes(cluster.url) == []  # what it writes is what the replica must have received, to be named
    await until(lambda: str(replica.port) in str(master.command("CLUSTER", "SLOTS")), SETTLE_LIMIT_S)
    replica.command("CONFIG", "SET", "requirepass", PASSWORD)
    (note,) = await notes(cluster.url)
    assert note.startswith(f"127.0.0.1:{replica.port}: a replica that may become the master: it requires a password")
