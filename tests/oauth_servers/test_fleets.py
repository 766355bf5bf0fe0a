"""Three replicas under load as clients of each server: their calls, cool-downs and recoveries."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import aiohttp
import pytest

from tests.oauth_servers.front import NOISE
from tests.oauth_servers.scene import Scene, open_scene
from tests.oauth_servers.servers import KINDS, Kind
from tests.servers import RedisServer
from tests.support.replica import LOOK_S, Replica, until

LIFETIME_S = 8
LIFETIMES = 3
COOLDOWN_S = 4
ROUNDING_S = 0.05
"""nginx counts in milliseconds, and reads its clock once for all that happens at one moment."""
pytestmark = pytest.mark.parametrize("kind", KINDS, ids=str)


async def test_three_replicas_under_load_make_one_token_call_a_lifetime(
    kind: Kind, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    async with open_scene(kind, tmp_path, own_redis_server, lifetime_s=LIFETIME_S) as scene:
        await scene.fleet.ready(3)
        async with scene.under_load():
            await scene.calls(1 + LIFETIMES)
            await until(lambda: len(scene.accepted) > LIFETIMES)
        gaps_s = await scene.fleet.begun_gaps_s()
        await until(lambda: len(scene.fleet._begun_at()) == len(scene.front.calls))
        assert set(scene.front.statuses) == {200}
        assert min(gaps_s) > LIFETIME_S / 2, "a second call for one lifetime would follow at once"
        assert len(scene.accepted) >= len(scene.front.calls) - 1, "each call gave a token that was used"


async def make_noise(scene: Scene) -> None:
    """Use up the limit, as another client of the server does, until a sidecar has had its 429."""
    async with aiohttp.ClientSession(headers={"User-Agent": NOISE}) as session:
        while 429 not in scene.front.statuses:
            async with session.post(f"{scene.front.url}/token"):
                await asyncio.sleep(LOOK_S)


async def test_a_limit_in_front_stops_all_calls_for_the_cool_down(
    kind: Kind, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    """nginx counts the calls of all clients together, and sends no Retry-After."""
    opened = open_scene(
        kind, tmp_path, own_redis_server, lifetime_s=LIFETIME_S, limit="30r/m", COOLDOWN_S=str(COOLDOWN_S)
    )
    async with opened as scene:
        replicas = await scene.fleet.ready(3)
        await make_noise(scene)
        async with asyncio.TaskGroup() as apps:
            for replica in replicas:
                apps.create_task(waits_for_the_next(scene, replica.url))
        calls = scene.front.calls
        for before, after in itertools.pairwise(calls):
            if before.status == 429:
                assert after.at - before.at > COOLDOWN_S - ROUNDING_S, calls
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


async def test_after_a_restart_with_other_keys_reports_lead_to_one_new_token(
    kind: Kind, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    async with open_scene(kind, tmp_path, own_redis_server, POLL_S="0.3") as scene:
        replicas = await scene.fleet.ready(3)
        old = (await scene.token(replicas[0])).body
        scene.server.stop()
        scene.server.start()
        assert not await scene.server.accepts(old["accessToken"])
        verdicts = {await replica.report(old["tokenId"]) for replica in replicas}
        assert "refreshing" in verdicts
        assert verdicts <= {"refreshing", "already-replaced"}
        await scene.calls(2)
        for replica in replicas:

            async def has_another(replica: Replica = replica) -> bool:
                return bool((await scene.token(replica)).token_id != old["tokenId"])

            await until(has_another)
        assert scene.front.statuses == [200, 200]
        assert len(scene.accepted) == 2
