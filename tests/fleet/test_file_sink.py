"""The token in a file, as an app sees it that reads nothing else."""

from __future__ import annotations

import asyncio
import stat
from pathlib import Path

from sidecar.core.model import Secret, token_id_of
from sidecar.partner.sandbox.faults import Fault
from tests.fakes.processes import Fleet
from tests.fakes.replica import LOOK_S as GLANCE_S
from tests.fakes.replica import until


def id_in(path: Path) -> str | None:
    return token_id_of(Secret(path.read_text())) if path.exists() else None


async def test_the_file_is_there_when_the_probe_says_ready(fleet: Fleet) -> None:
    """An app that waits for its sidecar never has to wait for the file."""
    path = fleet.folder / "token"
    (replica,) = await fleet.ready(1, SINK_FILE=str(path))
    assert id_in(path) == (await replica.ask()).token_id
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    await until(lambda: bool(replica.events("token_file_written")))
    (written,) = replica.events("token_file_written")
    assert written["token_id"] == id_in(path)


async def test_a_rejected_token_is_replaced_and_while_no_other_can_be_had_removed(fleet: Fleet) -> None:
    path = fleet.folder / "token"
    (replica,) = await fleet.ready(1, SINK_FILE=str(path), POLL_S="0.5")
    first = fleet.issued[0]

    assert await replica.report(first) == "refreshing"
    await until(lambda: len(fleet.issued) == 2 and id_in(path) == fleet.issued[1])

    fleet.sandbox.state.faults.add(Fault(fault="status", status=429, retry_after="8"))
    assert await replica.report(fleet.issued[1]) == "refreshing"
    await until(lambda: not path.exists())
    assert (await replica.ask()).body["suspect"] is True

    await until(lambda: len(fleet.issued) == 3 and id_in(path) == fleet.issued[2])
    assert await replica.metric("sink_errors_total") == 0


async def test_the_file_outlives_a_crash_and_a_restart(fleet: Fleet) -> None:
    path = fleet.folder / "token"
    (replica,) = await fleet.ready(1, SINK_FILE=str(path))
    token_id = id_in(path)
    replica.kill()

    seen: set[str | None] = set()

    async def watch() -> None:
        while True:
            seen.add(id_in(path))
            await asyncio.sleep(GLANCE_S)

    watching = asyncio.create_task(watch())
    successor = fleet.launch(SINK_FILE=str(path))
    await successor.listening()
    await until(successor.ready)
    await fleet.stop(successor)
    seen.add(id_in(path))
    watching.cancel()
    assert seen == {token_id}
    assert len(fleet.calls) == 1


async def test_a_place_that_cannot_be_written_to_is_told_at_the_start(fleet: Fleet) -> None:
    replica = fleet.launch(SINK_FILE=str(fleet.folder / "missing/token"))
    assert await replica.ended() == 2
    assert f"SIDECAR_SINK_FILE: {fleet.folder}/missing must be a directory that user" in replica.output
    assert "Traceback" not in replica.output
    assert fleet.calls == []
