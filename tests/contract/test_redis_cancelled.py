"""Callers that go away, and replies that come late: nobody is ever handed another's reply."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from sidecar.core.errors import StoreError
from sidecar.core.model import Address
from sidecar.core.ports import SharedState
from sidecar.resolver import Resolver
from sidecar.stores.factory import Store
from sidecar.stores.redis.replaceable_pool import MAX_CONNECTIONS, ClientFactory, Word
from sidecar.stores.redis.store import RedisStore
from tests.contract.operations import opened
from tests.contract.worlds import PROFILE, an_ask, fetched
from tests.servers import RedisServer
from tests.support.replica import until
from tests.support.store_urls import redis_url

OPERATIONS = 30_000
AT_ONCE = 40
PROFILES = 100
TIMEOUT_S = 0.05
STALL_S = 0.08
"""Longer than the time limit, so that a reply comes after its asker has given up."""
SEED = 20


@dataclass
class Hunt:
    """Asks for tokens of many profiles, whose answers nobody can mistake for each other."""

    store: Store
    token_ids: list[str] = field(default_factory=list)
    outcomes: Counter[str] = field(default_factory=Counter)
    chance: random.Random = field(default_factory=lambda: random.Random(SEED))

    async def prepare(self) -> None:
        self.states = [self.store.shared_state(replace(PROFILE, account=f"p{number}")) for number in range(PROFILES)]
        self.token_ids = [
            (await fetched(state, f"access-{number}")).token_id for number, state in enumerate(self.states)
        ]

    async def run(self, operations: int) -> None:
        for _ in range(operations // AT_ONCE):
            await asyncio.gather(*(self._ask_and_perhaps_go() for _ in range(AT_ONCE)))

    async def _ask_and_perhaps_go(self) -> None:
        number = self.chance.randrange(PROFILES)
        task = asyncio.create_task(self._ask(self.states[number]))
        if self.chance.random() < 0.6:
            for _ in range(self.chance.randrange(60)):
                await asyncio.sleep(0)
            task.cancel()
        try:
            token_id = await task
        except (StoreError, asyncio.CancelledError) as error:
            self.outcomes[type(error).__name__] += 1
        else:
            self.outcomes["own" if token_id == self.token_ids[number] else "another's"] += 1

    async def _ask(self, state: SharedState) -> str:
        if self.chance.random() < 0.5:
            return (await state.peek(0)).token_id
        return (await state.claim(an_ask())).state.token_id


@asynccontextmanager
async def stalling_relay(port: int, every: int) -> AsyncIterator[int]:
    """A way to Redis that holds back one reply in so many for longer than anybody waits; the port to connect to."""
    chance, tasks = random.Random(SEED), set[asyncio.Task[None]]()

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, stalls: bool) -> None:
        with contextlib.suppress(ConnectionError), contextlib.closing(writer):
            while chunk := await reader.read(65536):
                if stalls and chance.randrange(every) == 0:
                    await asyncio.sleep(STALL_S)
                writer.write(chunk)
                await writer.drain()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        redis_reader, redis_writer = await asyncio.open_connection("127.0.0.1", port)
        tasks.add(asyncio.create_task(pump(reader, redis_writer, stalls=False)))
        tasks.add(asyncio.create_task(pump(redis_reader, writer, stalls=True)))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def connections(server: RedisServer) -> int:
    """Those of the store, without the test's own."""
    return len(server.command("CLIENT", "LIST", "TYPE", "NORMAL").splitlines()) - 1


@pytest.mark.timeout(600)
async def test_of_thirty_thousand_operations_cancelled_in_flight_none_gets_anothers_reply(
    redis_server: RedisServer,
) -> None:
    async with opened(redis_server.url) as store:
        hunt = Hunt(store)
        await hunt.prepare()
        await hunt.run(OPERATIONS)
        assert hunt.outcomes["another's"] == 0
        assert hunt.outcomes["own"] > OPERATIONS / 4
        assert hunt.outcomes["CancelledError"] > OPERATIONS / 4
        assert connections(redis_server) <= MAX_CONNECTIONS
        assert (await hunt.states[7].peek(0)).token_id == hunt.token_ids[7]


async def test_a_reply_that_comes_too_late_reaches_nobody(redis_server: RedisServer) -> None:
    async with stalling_relay(redis_server.port, every=50) as port:
        async with opened(f"redis://127.0.0.1:{port}", TIMEOUT_S) as store:
            hunt = await late(redis_server, store)
            while hunt.outcomes["own"] <= 100 or hunt.outcomes["StoreError"] <= 5:
                await hunt.run(AT_ONCE)
            assert hunt.outcomes["another's"] == 0
            await until(lambda: connections(redis_server) <= MAX_CONNECTIONS)
        await until(lambda: connections(redis_server) == 0)


class Careless:
    """What redis-py once was: after a time-out the connection is used again, with the reply still to come."""

    def __init__(self, url: str) -> None:
        address: Address = redis_url(url).addresses[0]
        self._connection = ClientFactory(TIMEOUT_S, Resolver(1)).connection(address)
        self._turn = asyncio.Lock()

    async def run(self, key: str, *command: Word) -> Any:  # noqa: ANN401 - the form of `Servers`
        async with self._turn:
            await self._connection.send_command(*command)
            return await self._connection.read_response(disconnect_on_error=False)

    async def close(self) -> None:
        await self._connection.disconnect()


async def test_the_hunt_finds_a_client_that_hands_on_late_replies(redis_server: RedisServer) -> None:
    async with stalling_relay(redis_server.port, every=50) as port:
        url = f"redis://127.0.0.1:{port}"
        async with opened(url, TIMEOUT_S) as store:
            assert isinstance(store, RedisStore)
            store._client._servers = Careless(url)
            hunt = await late(redis_server, store)
            while hunt.outcomes["another's"] <= 5:
                await hunt.run(AT_ONCE)


async def late(server: RedisServer, store: Store) -> Hunt:
    async with opened(server.url) as direct:
        prepared = Hunt(direct)
        await prepared.prepare()
    hunt = Hunt(store, prepared.token_ids)
    hunt.states = [store.shared_state(replace(PROFILE, account=f"p{number}")) for number in range(PROFILES)]
    await hunt.run(1500)
    return hunt
