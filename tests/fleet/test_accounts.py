"""Several deployments share a Redis and a seal key. Only another API key makes another account."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from sidecar.sandbox.faults import Fault
from tests.support.processes import Fleet
from tests.support.replica import Replica, until

TIMES = {
    "TOKEN_LIFETIME_S": "12",
    "REFRESH_AT": "0.2",
    "PARTNER_TIMEOUT_S": "1",
    "POLL_S": "0.3",
    "CALL_BUDGET": "30/60",
}
ROTATIONS = 3
NAMES = ("payments", "refunds")


@pytest.fixture
def other_key(fleet: Fleet) -> str:
    """A directory with other credentials, which the partner accepts as well."""
    folder = fleet.folder / "other"
    folder.mkdir()
    (folder / "api-key").write_text("other-key")
    (folder / "api-secret").write_text("other-secret")
    fleet.sandbox.state.accept("other-key", "other-secret")
    return str(folder)


async def ids(replicas: Sequence[Replica]) -> set[str]:
    return {(await replica.ask()).token_id for replica in replicas}


async def test_fleets_with_two_keys_never_vend_each_others_token(fleet: Fleet, other_key: str) -> None:
    """Both are started together, and clients send requests all the time while their tokens rotate."""
    ours = await fleet.start(2, **TIMES)
    theirs = await fleet.start(2, **TIMES, CREDENTIALS_DIR=other_key)
    for replica in (*ours, *theirs):
        await until(replica.ready)
    our_ids, their_ids = set[str](), set[str]()

    async def rotated() -> bool:
        our_ids.update(await ids(ours))
        their_ids.update(await ids(theirs))
        return min(len(our_ids), len(their_ids)) > ROTATIONS

    await until(rotated)
    assert not our_ids & their_ids
    assert len(fleet.redis.command("KEYS", "pts:*")) == 4


async def test_a_report_and_a_cool_down_with_one_key_leave_the_other_alone(fleet: Fleet, other_key: str) -> None:
    (ours,) = await fleet.ready(1)
    (theirs,) = await fleet.ready(1, CREDENTIALS_DIR=other_key)
    our_id, their_id = await ids([ours]), await ids([theirs])
    fleet.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after="600"))
    assert await theirs.report(*our_id) == "already-replaced"
    assert await theirs.report(*their_id) == "refreshing"
    await until(lambda: fleet.calls[-1].status == 429)
    assert await ours.metric("cooldown_until_timestamp_seconds") == 0
    assert await ids([ours]) == our_id
    assert await ours.report(*our_id) == "refreshing"
    await until(lambda: fleet.calls[-1].status == 200)
    assert [call.status for call in fleet.calls] == [200, 200, 429, 200]


async def test_a_named_account_is_shared_by_different_keys(fleet: Fleet, other_key: str) -> None:
    replicas = await fleet.ready(1, ACCOUNT="payments", POLL_S="0.3")
    replicas += await fleet.ready(1, ACCOUNT="payments", POLL_S="0.3", CREDENTIALS_DIR=other_key)

    async def agreed() -> bool:
        return len(await ids(replicas)) == 1

    await until(agreed)
    assert len(fleet.redis.command("KEYS", "pts:*")) == 2
    assert len(fleet.calls) <= 2, "the second key was proven with one call"


def profiles(fleet: Fleet, *names: str) -> str:
    """Write a settings file with these profiles of the same account."""
    path: Path = fleet.folder / f"{'-'.join(names)}.toml"
    tables = "".join(f'[profiles.{name}]\ncredentials_dir = "{fleet.folder}/credentials"\n' for name in names)
    path.write_text(f'base_url = "{fleet.partner_url}"\n{tables}')
    return str(path)


async def start_under_many_names(fleet: Fleet, **settings: str) -> list[tuple[Replica, str]]:
    """Start two deployments with one profile each and one with both. Return each replica with its paths."""
    del fleet.settings["SIDECAR_CREDENTIALS_DIR"], fleet.settings["SIDECAR_BASE_URL"]
    started = []
    for names in ((NAMES[0],), (NAMES[1],), NAMES):
        replica = (await fleet.start(1, CONFIG=profiles(fleet, *names), **settings))[0]
        started += [(replica, f"/v1/token/{name}") for name in names]
    return started


async def test_one_account_under_many_names_has_one_token(fleet: Fleet) -> None:
    replicas = await start_under_many_names(fleet)
    for replica, _ in replicas:
        await until(replica.ready)
    assert len({(await replica.ask(path)).token_id for replica, path in replicas}) == 1
    assert len(fleet.calls) == 1
    profile_ids = {
        profile["profileId"]
        for replica, _ in replicas
        for profile in (await replica.admin("/status.json")).body["profiles"].values()
    }
    assert profile_ids == {fleet.profile_id}
    keys = {key.decode() for key in fleet.redis.command("KEYS", "pts:*")}
    assert keys == {f"pts:{{{fleet.profile_id}}}:{part}" for part in ("gate", "token")}


async def test_one_account_under_many_names_has_one_budget(fleet: Fleet) -> None:
    fleet.sandbox.state.faults.add(Fault(fault="status", status=500, count=0))
    replicas = await start_under_many_names(fleet, CALL_BUDGET="2/300", POLL_S="0.3")

    async def spent() -> bool:
        return {(await replica.ask(path)).code for replica, path in replicas} == {"call-budget-exhausted"}

    await until(spent)
    assert len(fleet.calls) == 2
