"""Through a cluster: to the node that has the keys, also while they move, and after that node is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace

import pytest

from sidecar.core.errors import StoreError
from sidecar.core.model import Profile
from sidecar.core.ports import SharedState
from sidecar.stores.redis.probe import CLUSTER_RIGHTS
from tests.clusters import ClusterTrio, Node, slot_of
from tests.contract.operations import OPERATIONS, answered, opened, run_one
from tests.contract.worlds import PROFILE, an_ask, fetched, granted
from tests.servers import RedisServer
from tests.support.replica import HANG_S, until

TIMEOUT_S = 0.5
SLOT = slot_of(PROFILE.profile_id)


@pytest.fixture(scope="module")
def shared_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterTrio]:
    with ClusterTrio(tmp_path_factory.mktemp("cluster")).started() as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: ClusterTrio) -> ClusterTrio:
    """The module's, emptied."""
    for node in shared_cluster.nodes:
        node.command("FLUSHALL")
    return shared_cluster


@pytest.fixture
def own_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterTrio]:
    """One that may lose nodes."""
    with ClusterTrio(tmp_path_factory.mktemp("cluster")).started() as cluster:
        yield cluster


def source_and_target(cluster: ClusterTrio) -> tuple[Node, Node]:
    source = cluster.owner(SLOT)
    return source, next(node for node in cluster.nodes if node is not source)


def profiles_on_every_node(cluster: ClusterTrio) -> list[Profile]:
    """Enough names that each third of the slots has some."""
    profiles = [replace(PROFILE, account=f"p{number}") for number in range(12)]
    assert len({cluster.owner(slot_of(profile.profile_id)).port for profile in profiles}) == 3
    return profiles


async def test_every_operation_reaches_the_node_with_the_keys(cluster: ClusterTrio) -> None:
    async with opened(cluster.url) as store:
        assert store.kind == "redis+cluster"
        await store.ping()
        for profile in profiles_on_every_node(cluster):
            for operation in OPERATIONS:
                await run_one(store.shared_state(profile), operation)
    assert all(node.command("DBSIZE") > 0 for node in cluster.nodes)


async def test_one_node_in_the_url_leads_to_the_others(cluster: ClusterTrio) -> None:
    for node in cluster.nodes:
        async with opened(f"redis+cluster://127.0.0.1:{node.port}") as store:
            await store.shared_state(PROFILE).peek(0)


async def test_keys_that_move_are_followed_within_each_operation(cluster: ClusterTrio) -> None:
    """ASK while the keys are on their way, TRYAGAIN while one of the two is, MOVED when they have arrived."""
    source, target = source_and_target(cluster)
    async with opened(cluster.url) as store:
        shared = store.shared_state(PROFILE)
        token = await fetched(shared, "access-moving")

        async def all_answer() -> None:
            states = await asyncio.gather(*(shared.peek(0) for _ in range(40)))
            assert {state.token_id for state in states} == {token.token_id}

        await all_answer()
        cluster.begin_move(SLOT, source, target)
        await all_answer()
        assert cluster.move_keys(SLOT, source, target, 1) == 1
        for node in (source, target):
            node.forget_counts()
        split = asyncio.gather(*(shared.peek(0) for _ in range(4)))
        await until(
            lambda: any("errorstat_TRYAGAIN" in node.command("INFO", "errorstats") for node in (source, target))
        )
        assert not split.done()
        assert cluster.move_keys(SLOT, source, target) == 1
        assert {state.token_id for state in await split} == {token.token_id}
        await all_answer()
        await granted(shared, an_ask(known=token.fence))
        cluster.end_move(SLOT, target)
        await all_answer()
        moved = sum(node.command_counts().get("asking", 0) for node in cluster.nodes)
        assert moved > 0
        # From here on everybody goes to the right node at once.
        target.forget_counts()
        source.forget_counts()
        await all_answer()
        assert "evalsha" not in source.command_counts()


async def test_a_profile_without_keys_has_to_wait_for_the_end_of_a_move(cluster: ClusterTrio) -> None:
    """Redis answers TRYAGAIN to whoever wants two keys of which one is missing: until then the store is down."""
    source, target = source_and_target(cluster)
    async with opened(cluster.url, TIMEOUT_S) as store:
        shared = store.shared_state(PROFILE)
        cluster.begin_move(SLOT, source, target)
        ask = an_ask()
        with pytest.raises(StoreError) as caught:
            await asyncio.wait_for(shared.claim(ask), HANG_S)
        assert caught.value.cause in ("TryAgainError", "TimeoutError")
        cluster.end_move(SLOT, target)
        await answered(lambda: granted(shared, ask))


async def test_keys_are_followed_to_a_node_that_had_no_slots_before(own_cluster: ClusterTrio) -> None:
    source = own_cluster.owner(SLOT)
    async with opened(own_cluster.url) as store:
        shared = store.shared_state(PROFILE)
        token = await fetched(shared, "access-new-node")
        target = own_cluster.add()
        own_cluster.begin_move(SLOT, source, target)
        own_cluster.move_keys(SLOT, source, target)
        assert (await shared.peek(0)).token_id == token.token_id
        own_cluster.end_move(SLOT, target)
        assert (await shared.peek(0)).token_id == token.token_id


async def test_a_silent_master_is_replaced_by_its_replica(own_cluster: ClusterTrio) -> None:
    master = own_cluster.owner(SLOT)
    replica = own_cluster.cover(master)
    # The URL names the very node that will be lost: what it told about the others has to do.
    url = f"redis+cluster://127.0.0.1:{master.port}"
    async with opened(url) as patient:
        token = await fetched(patient.shared_state(PROFILE), "access-lost")
    async with opened(url, TIMEOUT_S) as store:
        shared = store.shared_state(PROFILE)
        await answered(lambda: asyncio.gather(*(shared.peek(0) for _ in range(8))))
        await until(lambda: replica.has_caught_up_with(master))
        master.pause()
        with pytest.raises(StoreError):
            await shared.claim(an_ask(known=token.fence))
        await asyncio.to_thread(own_cluster.promoted, replica, SLOT)
        failed_at = await failures_until_it_works(shared)
        assert failed_at.count(f"127.0.0.1:{master.port}") <= 1
        assert (await answered(lambda: shared.peek(0))).token_id == token.token_id
        ask = an_ask(known=token.fence)
        _, grant = await answered(lambda: granted(shared, ask))
        assert grant.fence > token.fence


async def failures_until_it_works(shared: SharedState) -> list[str]:
    """The address of each: on a busy machine, the replica may respond too late."""
    failed_at = []
    while True:
        try:
            await shared.peek(0)
        except StoreError as error:
            failed_at.append(error.address)
        else:
            return failed_at


async def test_the_loss_of_a_node_without_the_keys_is_not_noticed(own_cluster: ClusterTrio) -> None:
    """Nor by who starts then, although the lost node stands first in the URL."""
    source, other = source_and_target(own_cluster)
    url = f"redis+cluster://127.0.0.1:{other.port},127.0.0.1:{source.port}"
    # All are closed at the end: that waits for what they asked the silent node.
    async with AsyncExitStack() as stack:
        shared = (await stack.enter_async_context(opened(url))).shared_state(PROFILE)
        token = await fetched(shared, "access-elsewhere")
        for lose in (other.pause, other.stop):
            lose()
            for _ in range(20):
                assert (await shared.peek(0)).token_id == token.token_id
            newcomer = await stack.enter_async_context(opened(url))
            assert (await newcomer.shared_state(PROFILE).peek(0)).token_id == token.token_id


async def test_a_server_without_cluster_support_is_named_as_such(redis_server: RedisServer) -> None:
    async with opened(f"redis+cluster://127.0.0.1:{redis_server.port}") as store:
        with pytest.raises(StoreError) as caught:
            await store.ping()
    assert caught.value.cause == "NotAClusterError"


async def test_the_least_rights_suffice_on_a_cluster_and_none_can_be_spared(cluster: ClusterTrio) -> None:
    """Those that the scripts need are looked at on one server; here keys are on their way."""
    source, target = source_and_target(cluster)
    async with opened(cluster.url) as store:
        await fetched(store.shared_state(PROFILE))
    cluster.begin_move(SLOT, source, target)
    cluster.move_keys(SLOT, source, target)
    url = cluster.url.replace("://", "://app:canary-password@")

    async def failure_without(right: str) -> StoreError | None:
        for node in cluster.nodes:
            node.command("ACL", "DELUSER", "app")
            rights = [rule for rule in CLUSTER_RIGHTS.split() if rule != right]
            node.command("ACL", "SETUSER", "app", "on", ">canary-password", *rights)
        async with opened(url) as store:
            try:
                await store.ping()
                await store.shared_state(PROFILE).peek(0)
            except StoreError as error:
                return error
        return None

    assert await failure_without("") is None
    for right in ("+cluster|slots", "+asking"):
        failure = await failure_without(right)
        assert failure is not None
        assert (failure.cause, "canary" in str(failure)) == ("NoPermissionError", False)
    cluster.end_move(SLOT, target)
