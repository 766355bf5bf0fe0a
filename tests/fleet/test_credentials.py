"""The API key and secret change while replicas run."""

from __future__ import annotations

import asyncio
import signal

from tests.support.processes import Fleet
from tests.support.replica import CALLER, HANG_S, Replica, until

WITHOUT_SIGNAL_S = 30
"""A replica that polls once a minute reads its credentials sooner only after a signal."""


async def test_new_credentials_are_promoted_with_one_call(fleet: Fleet) -> None:
    replicas = await fleet.ready(2, POLL_S="0.5")
    old = (await replicas[0].ask()).token_id
    fleet.sandbox.state.rotate("new-key", "new-secret")
    fleet.mount("new-key", "new-secret")

    async def promoted() -> bool:
        return all([(await replica.ask()).token_id != old for replica in replicas])

    await until(promoted)
    await until(lambda: all(replica.events("credentials_changed") for replica in replicas))
    assert len({(await replica.ask()).token_id for replica in replicas}) == 1
    assert [await replica.metric("credentials_valid") for replica in replicas] == [1, 1]
    assert [call.status for call in fleet.calls] == [200, 200]


async def test_sighup_reads_the_files_at_once(fleet: Fleet) -> None:
    replica = (await fleet.ready(1, POLL_S="60"))[0]
    old = (await replica.ask()).token_id
    fleet.sandbox.state.rotate("new-key", "new-secret")
    fleet.mount("new-key", "new-secret")
    replica.signal(signal.SIGHUP)

    async def promoted() -> bool:
        return (await replica.ask()).token_id != old

    # Without the signal this replica would read them only at its next poll.
    await until(promoted, WITHOUT_SIGNAL_S)
    assert len(fleet.calls) == 2


async def test_bad_credentials_leave_the_old_token_in_place_and_raise_an_alarm(fleet: Fleet) -> None:
    replica = (await fleet.ready(1, POLL_S="0.5"))[0]
    token_id = (await replica.ask()).token_id
    fleet.mount("wrong-key", "wrong-secret")
    replica.signal(signal.SIGHUP)

    await until(lambda: alarmed(replica))
    assert (await replica.ask()).token_id == token_id
    assert await replica.ready()
    assert [call.status for call in fleet.calls] == [200, 401]

    fleet.sandbox.state.rotate("new-key", "new-secret")
    fleet.mount("new-key", "new-secret")
    replica.signal(signal.SIGHUP)

    async def recovered() -> bool:
        return not await alarmed(replica) and (await replica.ask()).token_id != token_id

    await until(recovered)
    assert [call.status for call in fleet.calls] == [200, 401, 200]


async def test_long_polls_token_files_and_late_reports_get_the_token_of_the_new_keys(fleet: Fleet) -> None:
    """A long poll that waits, a token file, and an app that reports the old token late."""
    path = fleet.folder / "token"
    (replica,) = await fleet.ready(1, SINK_FILE=str(path))
    old = await replica.ask()
    assert path.read_text() == old.body["accessToken"]
    if_changed = {**CALLER, "If-None-Match": f'"{old.token_id}"'}
    waiting = asyncio.ensure_future(replica.ask("/v1/token?wait=60", if_changed))
    assert (await replica.ask("/v1/token?wait=0", if_changed)).status == 304
    fleet.sandbox.state.rotate("new-key", "new-secret")
    fleet.mount("new-key", "new-secret")
    replica.signal(signal.SIGHUP)

    new = await asyncio.wait_for(waiting, HANG_S)
    assert new.token_id != old.token_id
    await until(lambda: path.read_text() == new.body["accessToken"])
    assert await replica.report(old.token_id) == "already-replaced"
    assert (await replica.ask()).token_id == new.token_id
    assert [call.status for call in fleet.calls] == [200, 200]


async def alarmed(replica: Replica) -> bool:
    return await replica.metric("credentials_valid", profile="default") == 0
