"""A rate limit in front of a server: no call in the cool-down, and recovery after it."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import aiohttp
import pytest

from tests.oauth_servers.front import NOISE, ROUNDING_S
from tests.oauth_servers.scene import Scene, open_scene
from tests.oauth_servers.servers import KINDS, OAUTH2_SERVER, Kind
from tests.servers import RedisServer
from tests.support.replica import LOOK_S, until

LIFETIME_S = 8
WAIT_S = 4


async def make_noise(scene: Scene) -> None:
    """Use up the limit, as another client of the server does, until a sidecar has had its 429."""
    async with aiohttp.ClientSession(headers={"User-Agent": NOISE}) as session:
        while 429 not in scene.front.statuses:
            async with session.post(f"{scene.front.url}/token"):
                await asyncio.sleep(LOOK_S)


@pytest.mark.parametrize(
    ("kind", "retry_after", "setting"),
    [*((kind, "", str(WAIT_S)) for kind in KINDS), (OAUTH2_SERVER, str(WAIT_S), "600")],
    ids=str,
)
async def test_a_limit_in_front_stops_all_calls_for_the_cool_down(
    kind: Kind, retry_after: str, setting: str, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """nginx counts the calls of all clients together. The wait is that of the setting, or of the response."""
    opened = open_scene(
        kind, tmp_path, own_redis_server,
        lifetime_s=LIFETIME_S, limit="30r/m", retry_after=retry_after, COOLDOWN_S=setting,
    )  # fmt: skip
    async with opened as scene:
        replicas = await scene.fleet.ready(3)
        await make_noise(scene)
        async with asyncio.TaskGroup() as apps:
            for replica in replicas:
                apps.create_task(waits_for_the_next(scene, replica.url))
        calls = scene.front.calls
        for before, after in itertools.pairwise(calls):
            if before.status == 429:
                assert after.at - before.at > WAIT_S - ROUNDING_S, calls
        assert calls[-1].status == 200
        await until(lambda: scene.fleet.agree())
        await scene.token(replicas[0])


async def waits_for_the_next(scene: Scene, url: str) -> None:
    """Ask until a token of after the cool-down comes. Meanwhile the old one, or the reason why there is none."""

    def recovered() -> bool:
        return scene.front.statuses[-1] == 200

    while not recovered():
        async with scene.fleet.session.get(f"{url}/v1/token", headers={"Sidecar-Request": "true"}) as response:
            document = await response.json()
            assert response.status == 200 or document["code"] in ("partner-cooling-down", "timeout"), document
        await asyncio.sleep(LOOK_S)
