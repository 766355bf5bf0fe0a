"""Three replicas as clients of each server: their calls under load, and what a restart and an outage cost."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from sidecar.core.policy import BACKOFF_FLOOR_S
from tests.oauth_servers.front import ROUNDING_S
from tests.oauth_servers.scene import open_scene
from tests.oauth_servers.servers import KINDS, Kind
from tests.servers import RedisServer
from tests.support.replica import Replica, until

LIFETIME_S = 8
LIFETIMES = 3
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


async def test_an_outage_is_told_when_the_token_has_ended_and_over_with_the_first_call_after_it(
    kind: Kind, tmp_path: Path, own_redis_server: RedisServer
) -> None:
    opened = open_scene(kind, tmp_path, own_redis_server, lifetime_s=LIFETIME_S, REQUEST_TIMEOUT_S="1", POLL_S="0.3")
    async with opened as scene:
        replicas = await scene.fleet.ready(3)
        scene.server.stop()
        for replica in replicas:

            async def is_told(replica: Replica = replica) -> bool:
                return (await replica.ask()).code == "partner-unavailable"

            await until(is_told)
        scene.server.start()
        for replica in replicas:
            await until(replica.ready)
            await scene.token(replica)
        calls = scene.front.calls
        failed = [call for call in calls if call.status == 502]
        after = calls.index(failed[-1]) + 1
        assert scene.front.statuses[after - len(failed) :] == [502] * len(failed) + [200] * (len(calls) - after)
        assert scene.accepted
        gaps_s = [later.at - earlier.at for earlier, later in itertools.pairwise(failed)]
        assert min(gaps_s, default=BACKOFF_FLOOR_S) >= BACKOFF_FLOOR_S - ROUNDING_S, "one call at a time, none at once"
