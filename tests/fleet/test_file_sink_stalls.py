"""A token file on a disk that hangs."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.processes import Fleet
from tests.support.replica import Replica, until


async def hanging(fleet: Fleet, path: Path) -> tuple[Replica, Path]:
    """A replica that is ready, and whose fsync hangs from now on, until the FIFO is opened for writing."""
    fifo = fleet.folder / "fifo"
    replica = fleet.launch(("-m", "tests.support.hanging_fsync", str(fifo), "serve"), SINK_FILE=str(path), POLL_S="0.5")
    await replica.listening()
    await until(replica.ready)
    os.mkfifo(fifo)
    return replica, fifo


async def test_a_refused_token_does_not_stay_in_its_file_while_the_write_of_the_next_one_hangs(fleet: Fleet) -> None:
    path = fleet.folder / "token"
    replica, fifo = await hanging(fleet, path)
    old = path.read_text()
    assert await replica.report(fleet.issued[0]) == "refreshing"
    await until(lambda: len(fleet.issued) == 2)
    await until(lambda: not path.exists())
    await until(lambda: bool(replica.events("token_file_failed")))

    failed = replica.events("token_file_failed")[0]
    assert (failed["cause"], failed["old_token_left"]) == ("stalled", False)
    assert [(event["file"], event["profile"]) for event in replica.events("file_stalled")] == [
        ("token-file", "default")
    ]
    assert await replica.metric("sink_errors_total") > 0
    assert await replica.metric("file_stalled", file="token-file") == 1
    status = await replica.status()
    assert (status["ready"], status["reason"], status["stalledFiles"]) == (False, "token-file", ["token-file"])
    assert (await replica.ask()).token_id == fleet.issued[1]

    # Later writes do not hang, and the one that hangs goes on.
    fifo.rename(fleet.folder / "way")
    with (fleet.folder / "way").open("wb"):
        pass
    await until(replica.ready)
    assert path.read_text() not in ("", old)
    assert await replica.metric("file_stalled", file="token-file") == 0
    assert len(replica.events("file_stall_ended")) == 1


async def test_a_stop_does_not_wait_for_a_file_operation_that_hangs(fleet: Fleet) -> None:
    path = fleet.folder / "token"
    replica, _ = await hanging(fleet, path)
    assert await replica.report(fleet.issued[0]) == "refreshing"
    await until(lambda: not path.exists())
    await fleet.stop(replica)
    assert replica.events("service_stopped")
