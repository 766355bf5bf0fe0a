"""New credentials that are wrong, empty, half written or outdated, with three replicas under load."""

from __future__ import annotations

import signal

import pytest

from sidecar.sandbox.faults import Fault
from tests.support.load import under_load
from tests.support.processes import KEY, SECRET, Fleet
from tests.support.replica import until

REFRESH_AT_S = 2.4
TIMES = {
    "TOKEN_LIFETIME_S": "24",
    "REFRESH_AT": "0.1",
    "PARTNER_TIMEOUT_S": "1",
    "POLL_S": "0.3",
    "CALL_BUDGET": "30/60",
}


def reread(fleet: Fleet) -> None:
    for replica in fleet.replicas:
        replica.signal(signal.SIGHUP)


async def valid(fleet: Fleet) -> set[float]:
    return {await replica.metric("credentials_valid") for replica in fleet.replicas}


def statuses(fleet: Fleet) -> list[int]:
    return [call.status for call in fleet.calls]


async def rotation(fleet: Fleet) -> None:
    """Wait for one more successful call."""
    before = statuses(fleet).count(200)
    await until(lambda: statuses(fleet).count(200) > before)


async def test_bad_credentials_cost_one_call_each_and_the_old_token_is_vended(fleet: Fleet) -> None:
    """Mount credentials that get 401, then 403; then revoke the old ones too, and mount good ones."""
    replicas = await fleet.ready(3, **TIMES)
    async with under_load(fleet) as load:
        for status in (401, 403):
            fleet.sandbox.state.faults.add(Fault(fault="status", status=status))
            fleet.mount(f"wrong-{status}", "wrong-secret")
            reread(fleet)
            await until(lambda: status in statuses(fleet))  # noqa: B023 - called within this round only
            await rotation(fleet)
            assert await valid(fleet) == {0}
        assert sorted(statuses(fleet))[-2:] == [401, 403]

        fleet.sandbox.state.rotate("good-key", "good-secret")
        fleet.sandbox.state.accounts["pay1st"].revoke()
        calls = len(fleet.calls)
        await until(lambda: len(fleet.calls) == calls + 2)

        async def all_have_failed() -> bool:
            return {(await replica.status())["retryAt"] is not None for replica in replicas} == {True}

        await until(all_have_failed)
        fleet.mount("good-key", "good-secret")
        reread(fleet)
        await until(lambda: len(fleet.calls) > calls + 2)
        await until(fleet.agree_on_the_newest)

    assert not load.bad
    # The refresh token and the old credentials are tried once each, and not again afterwards.
    assert statuses(fleet)[calls:] == [401, 401, 200]
    assert await valid(fleet) == {1}


async def test_the_last_of_several_quick_changes_of_credentials_is_used(fleet: Fleet) -> None:
    """An empty file after them only sets the alarm."""
    replicas = await fleet.ready(3, **{**TIMES, "TOKEN_LIFETIME_S": "900"})
    async with under_load(fleet) as load:
        for number in (1, 2, 3):
            fleet.sandbox.state.rotate(f"key-{number}", f"secret-{number}")
            fleet.mount(f"key-{number}", f"secret-{number}")
            reread(fleet)

        async def promoted() -> bool:
            return await valid(fleet) == {1} and statuses(fleet)[-1] == 200 and len(fleet.calls) > 1

        await until(promoted)
        await until(fleet.agree_on_the_newest)
        calls = len(fleet.calls)
        assert calls <= 1 + 3

        fleet.mount("key-4", "")
        reread(fleet)

        async def alarmed() -> bool:
            return await valid(fleet) == {0}

        await until(alarmed)
        for replica in replicas:
            await until(lambda: bool(replica.events("credentials_unreadable")))  # noqa: B023 - awaited in this round
            assert replica.events("credentials_unreadable")[-1]["problem"].endswith("api-secret: empty")
        fleet.mount("key-3", "secret-3")
        reread(fleet)
        await until(promoted)

    assert not load.bad
    assert len(fleet.calls) == calls


@pytest.mark.parametrize("first", ["api-key", pytest.param("api-secret", marks=pytest.mark.slow)])
async def test_half_written_credentials_cost_a_call_and_no_response(fleet: Fleet, first: str) -> None:
    """The files of a plain directory do not change in one step, so an old and a new file are read together."""
    folder = fleet.folder / "plain"
    folder.mkdir()
    old, new = {"api-key": KEY, "api-secret": SECRET}, {"api-key": "new-key", "api-secret": "new-secret"}
    for name, text in old.items():
        (folder / name).write_text(text)
    replicas = await fleet.ready(2, CREDENTIALS_DIR=str(folder), POLL_S="0.3")
    token_id = (await replicas[0].ask()).token_id
    fleet.sandbox.state.rotate(*new.values())
    for name in sorted(new, key=lambda name: name != first):
        (folder / name).write_text(new[name])
        reread(fleet)
        calls = len(fleet.calls)
        await until(lambda: len(fleet.calls) > calls)  # noqa: B023 - called within this round only
        assert {(await replica.ask()).status for replica in replicas} == {200}
    await until(fleet.agree_on_the_newest)
    assert (await replicas[0].ask()).token_id != token_id
    assert statuses(fleet) == [200, 401, 200]
