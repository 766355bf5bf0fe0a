"""Through sentinels: to the master, whoever that is, and within the time limit whatever the sentinels do."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from sidecar.core.errors import StoreError
from sidecar.stores.redis import replaceable_pool
from sidecar.stores.redis.probe import LEAST_RIGHTS, SENTINEL_RIGHTS
from tests.contract.operations import OPERATIONS, answered, opened, run_one
from tests.contract.worlds import PROFILE, an_ask, fetched, granted
from tests.sentinels import SERVICE, Sentinel, SentinelTrio
from tests.servers import RedisServer, free_port
from tests.support.replica import HANG_S, PATIENT_S, until

TIMEOUT_S = 0.5


@pytest.fixture(scope="module")
def shared_trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelTrio]:
    with SentinelTrio(tmp_path_factory.mktemp("trio")).started() as trio:
        yield trio


@pytest.fixture
def own_trio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SentinelTrio]:
    """For failovers: to come back from one takes longer than a new start."""
    with SentinelTrio(tmp_path_factory.mktemp("trio")).started() as trio:
        yield trio


@pytest.fixture
def trio(shared_trio: SentinelTrio) -> SentinelTrio:
    """The module's, with both servers up and empty."""
    shared_trio.master.command("FLUSHALL")
    return shared_trio


@pytest.fixture
def lone_sentinel(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sentinel]:
    """One that watches the session's server."""
    sentinel = Sentinel(tmp_path_factory.mktemp("sentinel"), redis_server.port)
    yield sentinel.start()
    sentinel.stop()


async def test_every_operation_reaches_the_master(trio: SentinelTrio) -> None:
    async with opened(trio.url) as store:
        assert store.kind == "redis+sentinel"
        await store.ping()
        for operation in OPERATIONS:
            await run_one(store.shared_state(PROFILE), operation)
    assert trio.master.command("KEYS", "*")


async def test_the_urls_database_is_used_behind_sentinels(redis_server: RedisServer, lone_sentinel: Sentinel) -> None:
    async with opened(f"redis+sentinel://127.0.0.1:{lone_sentinel.port}/{SERVICE}/3") as store:
        await granted(store.shared_state(PROFILE))
    assert "db3" in redis_server.command("INFO", "keyspace")


async def test_a_silent_master_is_left_behind_with_all_its_connections(own_trio: SentinelTrio) -> None:
    old = own_trio.master
    async with opened(own_trio.url) as patient:
        token = await fetched(patient.shared_state(PROFILE), "access-silent")
    async with opened(own_trio.url, TIMEOUT_S) as store:
        shared = store.shared_state(PROFILE)
        # Several connections, all to the old master.
        await answered(lambda: asyncio.gather(*(shared.peek(0) for _ in range(8))))
        await asyncio.to_thread(own_trio.replicate)
        old.pause()
        with pytest.raises(StoreError):
            await asyncio.wait_for(shared.claim(an_ask(known=token.fence)), HANG_S)
        await asyncio.to_thread(own_trio.failed_over, old)

        failed_at: list[str] = []

        async def peeked() -> str:
            try:
                return (await shared.peek(0)).token_id
            except StoreError as error:
                failed_at.append(error.address)
                raise

        token_ids = await asyncio.gather(*(answered(peeked) for _ in range(8)))
        assert set(token_ids) == {token.token_id}
        assert f"127.0.0.1:{old.port}" not in failed_at, "on a busy machine, the new master may respond too late"
        ask = an_ask(known=token.fence)
        _, grant = await answered(lambda: granted(shared, ask))
        assert grant.fence > token.fence


async def test_connections_that_a_demoted_master_closes_lead_to_the_new_one(
    redis_server: RedisServer, own_redis_server: RedisServer, lone_sentinel: Sentinel
) -> None:
    async with opened(f"redis+sentinel://127.0.0.1:{lone_sentinel.port}/{SERVICE}") as store:
        shared = store.shared_state(PROFILE)
        await granted(shared)
        lone_sentinel.watch(own_redis_server)
        await asyncio.to_thread(redis_server.command, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        await until(lambda: len(redis_server.command("CLIENT", "LIST").splitlines()) == 1)
        for _ in range(10):  # for this loop to see it, too
            await asyncio.sleep(0)
        await granted(shared)
    assert own_redis_server.command("DBSIZE") == 1


async def test_dead_and_silent_sentinels_cost_nothing_while_most_answer(trio: SentinelTrio) -> None:
    for break_it, mend_it in ((Sentinel.stop, Sentinel.start), (Sentinel.pause, Sentinel.resume)):
        for sentinel in trio.sentinels:
            break_it(sentinel)
            # A third of the time limit would be waited for it, and that is longer than a test may take.
            async with opened(trio.url, 10 * HANG_S) as store:
                await store.ping()
                mend_it(sentinel)
    await asyncio.to_thread(trio.settle)


async def test_one_sentinel_is_believed_when_the_others_are_silent(
    trio: SentinelTrio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replaceable_pool, "OPTIONAL_WAIT", 0.1 / PATIENT_S)
    for sentinel in trio.sentinels[:2]:
        sentinel.pause()
    async with opened(trio.url) as store:
        try:
            await granted(store.shared_state(PROFILE))
        finally:
            for sentinel in trio.sentinels[:2]:
                sentinel.resume()
    await asyncio.to_thread(trio.settle)


async def test_a_sentinel_that_names_a_master_of_the_past_is_outvoted(
    trio: SentinelTrio, redis_server: RedisServer, lone_sentinel: Sentinel
) -> None:
    hosts = ",".join(f"127.0.0.1:{sentinel.port}" for sentinel in (lone_sentinel, *trio.sentinels[:2]))
    for _ in range(10):
        async with opened(f"redis+sentinel://{hosts}/{SERVICE}") as store:
            await store.ping()
            await granted(store.shared_state(PROFILE))
        trio.master.command("FLUSHALL")
    assert redis_server.command("DBSIZE") == 0


async def test_what_is_wrong_with_the_sentinels_is_said(lone_sentinel: Sentinel) -> None:
    own = f"redis+sentinel://:canary@127.0.0.1:{lone_sentinel.port}"
    gone = f"redis+sentinel://:canary@127.0.0.1:{free_port()}/{SERVICE}"
    for url, cause in ((f"{own}/other", "ServiceUnknownError"), (gone, "ConnectionRefusedError")):
        async with opened(url) as store:
            with pytest.raises(StoreError) as caught:
                await store.ping()
        assert (caught.value.cause, "canary" in str(caught.value)) == (cause, False)


async def test_the_sentinels_have_a_user_of_their_own_with_the_least_rights(
    redis_server: RedisServer, lone_sentinel: Sentinel, tmp_path: Path
) -> None:
    """And the server's user needs no more than without sentinels."""
    (tmp_path / "password").write_text("canary-of-sentinel\n")
    redis_server.command("ACL", "SETUSER", "app", "on", ">canary-of-redis", *LEAST_RIGHTS.split())
    place = f"127.0.0.1:{lone_sentinel.port}/{SERVICE}"
    options = f"sentinel_username=look&sentinel_password_file={tmp_path / 'password'}"
    url = f"redis+sentinel://app:canary-of-redis@{place}?{options}"

    async def cause() -> str:
        async with opened(url) as store:
            try:
                await store.ping()
                await granted(store.shared_state(PROFILE))
            except StoreError as error:
                return error.cause
        return ""

    assert await cause() == "AuthenticationError"
    rules = SENTINEL_RIGHTS.split()
    lone_sentinel.command("ACL", "SETUSER", "look", "on", ">canary-of-sentinel", *rules[:-1])
    assert await cause() == "NoPermissionError"
    lone_sentinel.command("ACL", "SETUSER", "look", *rules)
    assert await cause() == ""
    redis_server.command("ACL", "DELUSER", "app")
