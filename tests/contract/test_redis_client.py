"""The client and a real server: one command each, faults, time limits."""

from __future__ import annotations

import asyncio
import time

import pytest

from sidecar.core.errors import StoreError
from tests.contract.operations import OPERATIONS, answered, opened, run_one
from tests.contract.worlds import PROFILE, RedisWorld, an_ask, granted
from tests.servers import RedisServer, free_port
from tests.support.replica import HANG_S

TIMEOUT_S = 0.3
MANY = 200


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_each_operation_is_one_command(
    redis_server: RedisServer, redis_world: RedisWorld, operation: str
) -> None:
    shared = redis_world.store.shared_state(PROFILE)
    await run_one(shared, operation)
    redis_server.forget_counts()
    await run_one(shared, operation)
    counts = redis_server.command_counts()
    inside_the_script, ours = {"get", "set", "time"}, {"config|resetstat", "config", "info"}
    assert {name: calls for name, calls in counts.items() if name not in inside_the_script | ours} == {"evalsha": 1}


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_scripts_that_were_flushed_are_sent_once_more(
    redis_server: RedisServer, redis_world: RedisWorld, operation: str
) -> None:
    shared = redis_world.store.shared_state(PROFILE)
    await shared.claim(an_ask())  # the first one also looks for what an earlier release left
    redis_server.command("SCRIPT", "FLUSH")
    redis_server.forget_counts()
    await run_one(shared, operation)
    await run_one(shared, operation)
    assert redis_server.command_counts()["eval"] == 1


async def test_nothing_but_two_keys_with_an_expiry_is_written(
    redis_server: RedisServer, redis_world: RedisWorld
) -> None:
    shared = redis_world.store.shared_state(PROFILE)
    for operation in OPERATIONS:
        await run_one(shared, operation)
    keys = sorted(redis_server.command("KEYS", "*"))
    assert [key.decode() for key in keys] == [f"pts:{{{PROFILE.profile_id}}}:{part}" for part in ("gate", "token")]
    assert all(redis_server.command("PTTL", key) > 0 for key in keys)


@pytest.mark.parametrize("operation", OPERATIONS)
async def test_a_server_that_is_gone_is_a_store_error(operation: str) -> None:
    async with opened(f"redis://:canary-password@127.0.0.1:{free_port()}") as store:
        with pytest.raises(StoreError) as caught:
            await run_one(store.shared_state(PROFILE), operation)
    assert (caught.value.operation, caught.value.cause) == (operation, "ConnectionRefusedError")
    assert caught.value.__suppress_context__
    assert "canary" not in str(caught.value)


async def test_a_silent_server_is_a_store_error_in_time_and_works_again_afterwards(
    own_redis_server: RedisServer,
) -> None:
    async with opened(own_redis_server.url, TIMEOUT_S) as store:
        shared = store.shared_state(PROFILE)
        await answered(lambda: shared.peek(0))
        own_redis_server.pause()
        started = time.monotonic()
        answers = await asyncio.gather(*(shared.peek(0) for _ in range(MANY)), return_exceptions=True)
        took_s = time.monotonic() - started
        own_redis_server.resume()
        assert {type(answer) for answer in answers} == {StoreError}
        assert TIMEOUT_S <= took_s < MANY * TIMEOUT_S, "at once, and not one after the other"
        await answered(lambda: shared.peek(0))


async def test_a_server_that_never_answers_a_connection_is_given_up_in_time(own_redis_server: RedisServer) -> None:
    own_redis_server.pause()
    async with opened(own_redis_server.url, TIMEOUT_S) as store:
        with pytest.raises(StoreError):
            await asyncio.wait_for(store.ping(), HANG_S)


async def test_a_server_that_comes_back_empty_is_used_again_at_once(own_redis_server: RedisServer) -> None:
    async with opened(own_redis_server.url) as store:
        shared = store.shared_state(PROFILE)
        await granted(shared)
        # In a thread: this loop has to see the old connection end, as it would in life.
        await asyncio.to_thread(own_redis_server.restart)
        await granted(shared)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("CONFIG", "SET", "maxmemory", "1"), "OutOfMemoryError"),
        (("REPLICAOF", "127.0.0.1", "1"), "ReadOnlyError"),
        (("CONFIG", "SET", "min-replicas-to-write", "3"), "ResponseError"),
        (("CONFIG", "SET", "requirepass", "canary-password"), "AuthenticationError"),
    ],
)
async def test_a_server_that_refuses_to_write_grants_nothing(
    own_redis_server: RedisServer, words: tuple[str, ...], cause: str
) -> None:
    own_redis_server.command(*words)
    async with opened(own_redis_server.url) as store:
        with pytest.raises(StoreError) as caught:
            await store.shared_state(PROFILE).claim(an_ask())
    assert caught.value.cause == cause


async def test_a_claim_that_never_got_a_connection_is_not_sent_later(own_redis_server: RedisServer) -> None:
    async with opened(own_redis_server.url, TIMEOUT_S) as store:
        shared = store.shared_state(PROFILE)
        await answered(lambda: asyncio.gather(*(shared.peek(0) for _ in range(8))))
        own_redis_server.pause()
        blockers = [asyncio.create_task(shared.peek(0)) for _ in range(8)]
        await asyncio.sleep(0)
        with pytest.raises(StoreError):
            await shared.claim(an_ask())
        await asyncio.gather(*blockers, return_exceptions=True)
        own_redis_server.resume()
    async with opened(own_redis_server.url) as store:
        assert (await store.shared_state(PROFILE).peek(0)).epoch == ""
