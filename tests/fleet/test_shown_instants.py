"""The times that real sidecars show are those of this machine's clock, whatever the store's clock is set to."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import short_folder
from tests.servers import RedisServer
from tests.support.processes import Fleet, open_fleet
from tests.support.programs import needs
from tests.support.replica import Replica, until
from tests.support.wall_clock import DAY_S, WallClock

pytestmark = needs("faketime")

BEHIND_S = 1200
NEAR_S = 2
"""Instants and durations are whole seconds, so clocks that differ by less than one second agree."""
LOOKS = 8


def instant(text: Any) -> float:  # noqa: ANN401 - of a document
    return datetime.fromisoformat(text).timestamp()


async def shown_by(replica: Replica, ahead_s: int = 0) -> tuple[str, str]:
    """Return the token's times. Response, status and gauges must agree, by a clock that is `ahead_s` ahead of ours."""
    before = time.time() + ahead_s
    vended, status = (await replica.ask()).body, await replica.status()
    gauge = await replica.metric("token_expiry_timestamp_seconds", profile="default")
    issued = await replica.metric("token_issued_timestamp_seconds", profile="default")
    taken = await replica.metric("token_last_success_timestamp_seconds", profile="default")
    after = time.time() + ahead_s
    ends_at = instant(vended["expiresAt"])
    assert before - NEAR_S < ends_at - vended["expiresIn"] < after + NEAR_S
    assert (status["issuedAt"], status["expiresAt"]) == (vended["issuedAt"], vended["expiresAt"])
    assert [int(gauge), int(issued)] == [ends_at, instant(vended["issuedAt"])]
    assert issued <= taken < after + NEAR_S
    assert before < instant(status["nextRefreshAt"]) < ends_at
    return vended["issuedAt"], vended["expiresAt"]


@pytest.mark.parametrize("store", ["memory://", "sqlite://{folder}/state.db"])
async def test_the_next_response_follows_a_clock_that_is_corrected_after_the_start(
    store: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    """The second process of the file store starts after the step, and gets the token only from the file."""
    async with open_fleet(tmp_path, redis_server) as fleet:
        fleet.settings["SIDECAR_STORE"] = store.format(folder=tmp_path)
        clock = WallClock(tmp_path)
        fleet.settings.update(clock.environ)
        clock.step(DAY_S)
        (replica,) = await fleet.ready(1)
        for ahead_s in (DAY_S, 0, -DAY_S, 0):
            clock.step(ahead_s)
            await shown_by(replica, ahead_s)
        await until(lambda: bool(replica.events("token_changed")))
        document = (await replica.admin("/status.json")).body
        dates = [instant(event["at"]) for event in document["events"]]
        assert dates == sorted(dates)
        assert dates[-1] <= instant(document["at"]) < time.time() + NEAR_S
        if not store.startswith("memory"):
            await fleet.stop(replica)
            (replica,) = await fleet.ready(1)
            await shown_by(replica)
            assert len(fleet.calls) == 1


@pytest.fixture(params=[-BEHIND_S, BEHIND_S])
def other_redis(
    request: pytest.FixtureRequest, tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RedisServer]:
    """A Redis whose clock differs from ours by twenty minutes."""
    clock = WallClock(tmp_path)
    clock.step(request.param)
    server = RedisServer(short_folder(tmp_path_factory), environ=clock.environ).start()
    assert abs(server.command("TIME")[0] - time.time() - request.param) < BEHIND_S / 2
    yield server
    server.stop()


async def test_a_redis_with_another_clock_changes_no_instant_and_none_flickers(
    tmp_path: Path, other_redis: RedisServer
) -> None:
    async with open_fleet(tmp_path, other_redis) as fleet:
        await fleet.ready(3, POLL_S="0.2")
        seen: dict[Replica, set[tuple[str, str]]] = {replica: set() for replica in fleet.replicas}
        for _ in range(LOOKS):
            for replica in fleet.replicas:
                seen[replica].add(await shown_by(replica))
            await fleet.looked()
        assert [len(shown) for shown in seen.values()] == [1, 1, 1]
        issued_at = [instant(issued) for shown in seen.values() for issued, _ in shown]
        assert max(issued_at) - min(issued_at) <= NEAR_S
        assert len(fleet.calls) == 1


def changes(fleet: Fleet) -> list[dict[str, Any]]:
    return list(itertools.chain.from_iterable(replica.events("token_changed") for replica in fleet.replicas))


async def test_the_log_has_a_tokens_instants_by_the_clock_of_its_timestamps(
    tmp_path: Path, other_redis: RedisServer
) -> None:
    async with open_fleet(tmp_path, other_redis) as fleet:
        await fleet.ready(2)
        await until(lambda: len(changes(fleet)) == 2)
        for line in changes(fleet):
            assert abs(instant(line["timestamp"]) - instant(line["issued_at"])) < BEHIND_S / 2
            assert instant(line["expires_at"]) - instant(line["issued_at"]) == 900
