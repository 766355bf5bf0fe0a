"""Each test of the contract runs against all three stores."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from sidecar.core.ports import SharedState
from sidecar.core.store_url import parse_store_url
from sidecar.stores.factory import open_store
from tests.clusters import Node
from tests.contract.named import HERE
from tests.contract.nearness import Stopwatch
from tests.contract.sqlite_world import SqliteWorld
from tests.contract.worlds import PROFILE, SEALER, KeptWorld, MemoryWorld, RedisWorld, World
from tests.sentinels import SETTLE_LIMIT_S, wait_until
from tests.servers import RedisServer, free_port
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S
from tests.support.zone import Zone


@pytest.fixture(autouse=True)
def _stopwatch() -> None:
    Stopwatch.began_at = time.monotonic()


@pytest.fixture
async def redis_world(redis_server: RedisServer) -> AsyncIterator[RedisWorld]:
    store = open_store(parse_store_url(redis_server.url), timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    yield RedisWorld(redis_server, store)
    await store.close()


@pytest.fixture
async def sqlite_world(tmp_path: Path) -> AsyncIterator[SqliteWorld]:
    world = SqliteWorld(tmp_path)
    yield world
    await world.store.close()


@pytest.fixture(params=["memory", "sqlite", "redis"])
def world(request: pytest.FixtureRequest) -> World:
    if request.param == "memory":
        return MemoryWorld()
    chosen: World = request.getfixturevalue(f"{request.param}_world")
    return chosen


@pytest.fixture(params=["redis", "sqlite"])
def kept_world(request: pytest.FixtureRequest) -> KeptWorld:
    """Where somebody else may have written, too."""
    chosen: KeptWorld = request.getfixturevalue(f"{request.param}_world")
    return chosen


@pytest.fixture
def shared(world: World) -> SharedState:
    return world.store.shared_state(PROFILE)


@pytest.fixture
def zone() -> Iterator[Zone]:
    """Where `redis` leads."""
    made = Zone(redis=(HERE,))
    yield made
    made.answer()


@pytest.fixture
def port() -> int:
    """One for all addresses, as a name has it."""
    return free_port()


@pytest.fixture
def clusters(tmp_path: Path) -> Iterator[tuple[Node, Node]]:
    """Two of one node each, which announce their addresses."""
    nodes = [Node(tmp_path / name, "--cluster-announce-ip", "127.0.0.1") for name in ("old", "new")]
    try:
        for node in nodes:
            node.start()
            node.command("CLUSTER", "ADDSLOTS", *range(16_384))
            wait_until(lambda node=node: b"state:ok" in node.command("CLUSTER", "INFO"), SETTLE_LIMIT_S)  # type: ignore[misc]
        yield nodes[0], nodes[1]
    finally:
        for node in nodes:
            node.stop()
