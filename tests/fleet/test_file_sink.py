"""The token file, as an app reads it."""

from __future__ import annotations

import asyncio
import shutil
import signal
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sidecar.core.model import Secret, token_id_of
from sidecar.sandbox.faults import Fault
from tests.support.odd_files import ODD, make_odd
from tests.support.processes import Fleet
from tests.support.replica import Replica, until

GLANCE_S = 0.02


def id_in(path: Path) -> str | None:
    try:
        return token_id_of(Secret(path.read_text()))
    except FileNotFoundError:
        return None


@contextmanager
def watched(path: Path) -> Iterator[set[str | None]]:
    """Collect the ids of the tokens in the file meanwhile, None for no file."""
    seen: set[str | None] = set()

    async def watch() -> None:
        while True:
            seen.add(id_in(path))
            await asyncio.sleep(GLANCE_S)

    watching = asyncio.create_task(watch())
    try:
        yield seen
    finally:
        watching.cancel()


async def reason_of(replica: Replica, reason: str) -> bool:
    """Return whether its profile is not ready for this reason."""
    answer = await replica.admin("/readyz/default")
    return answer.status == 503 and answer.body["profiles"]["default"]["reason"] == reason


async def test_the_file_is_there_when_the_probe_says_ready(fleet: Fleet) -> None:
    """An app that waits until its sidecar is ready need not wait for the file."""
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

    with watched(path) as seen:
        successor = fleet.launch(SINK_FILE=str(path))
        await successor.listening()
        await until(successor.ready)
        await fleet.stop(successor)
        seen.add(id_in(path))
    assert seen == {token_id}
    assert len(fleet.calls) == 1


async def test_a_file_that_was_removed_emptied_or_overwritten_is_written_again_at_once(fleet: Fleet) -> None:
    folder = fleet.folder / "sink"
    folder.mkdir()
    path = folder / "token"
    (replica,) = await fleet.ready(1, SINK_FILE=str(path))
    content = path.read_text()

    def make_folder_again() -> None:
        shutil.rmtree(folder)
        folder.mkdir()

    changes: list[Callable[[], object]] = [
        path.unlink,
        lambda: path.write_text(""),
        lambda: path.write_text(content[::-1]),
        make_folder_again,
    ]
    for change in changes:
        change()
        await until(lambda: id_in(path) == fleet.issued[0])
    await until(lambda: {event["change"] for event in replica.events("token_file_changed")} == {"removed", "content"})
    assert await replica.ready()
    assert len(fleet.calls) == 1


async def test_a_file_that_can_no_longer_be_written_is_not_ready_until_it_is(fleet: Fleet) -> None:
    folder = fleet.folder / "sink"
    folder.mkdir()
    path = folder / "token"
    (replica,) = await fleet.ready(1, SINK_FILE=str(path))
    shutil.rmtree(folder)
    await until(lambda: reason_of(replica, "token-file"))
    assert await replica.metric("sink_errors_total") > 0
    folder.mkdir()
    await until(replica.ready)
    assert id_in(path) == fleet.issued[0]
    await until(lambda: len(replica.events("token_file_written")) == 2)
    assert {event["cause"] for event in replica.events("token_file_failed")} == {"ENOENT"}


@pytest.mark.parametrize("kind", ["link-to-device", "fifo"])
async def test_only_a_regular_file_is_replaced_and_any_other_is_reported(kind: str, fleet: Fleet) -> None:
    path = fleet.folder / "token"
    (replica,) = await fleet.ready(1, SINK_FILE=str(path))
    path.unlink()
    with make_odd(kind, fleet.folder / "odd"):
        (fleet.folder / "odd").rename(path)
        await until(lambda: reason_of(replica, "token-file"))
    assert await replica.metric("sink_errors_total") > 0
    (failed,) = replica.events("token_file_failed")
    assert (failed["cause"], failed["old_token_left"]) == ("not-regular", False)
    assert not path.is_file()
    path.unlink()
    await until(replica.ready)
    assert id_in(path) == fleet.issued[0]


async def test_a_reader_of_a_file_of_three_sidecars_always_finds_a_whole_token(fleet: Fleet) -> None:
    path = fleet.folder / "token"
    path.write_text("of before")
    before = id_in(path)
    with watched(path) as seen:
        replicas = await fleet.ready(3, SINK_FILE=str(path), POLL_S="0.5")
        fleet.sandbox.state.rotate("new-key", "new-secret")
        fleet.mount("new-key", "new-secret")
        for replica in replicas:
            replica.signal(signal.SIGHUP)
        await until(lambda: len(fleet.issued) == 2)
        await until(fleet.agree_on_the_newest)
        await until(lambda: id_in(path) == fleet.issued[1])
        assert None not in seen
        assert seen <= {before, *fleet.issued}
        for replica in replicas:
            await fleet.stop(replica)
    assert [each.name for each in fleet.folder.iterdir() if "token" in each.name] == ["token"]


@pytest.mark.parametrize("kind", ["link-to-stdout", "link-to-device", "fifo"])
async def test_a_path_that_is_no_regular_file_is_refused_at_start_and_left_unchanged(kind: str, fleet: Fleet) -> None:
    """/dev/stdout is such a link: replacing it breaks the machine."""
    path = fleet.folder / "stdout"
    with make_odd(kind, path):
        replica = fleet.launch(SINK_FILE=str(path))
        assert await replica.ended() == 2
    assert f"SIDECAR_SINK_FILE: {path} is {ODD[kind]}, and must be a regular file" in replica.output
    assert path.is_symlink() or path.is_fifo()
    assert fleet.calls == []


async def test_a_folder_that_cannot_be_written_to_is_reported_at_start(fleet: Fleet) -> None:
    replica = fleet.launch(SINK_FILE=str(fleet.folder / "missing/token"))
    assert await replica.ended() == 2
    assert f"SIDECAR_SINK_FILE: {fleet.folder}/missing must be a directory that user" in replica.output
    assert "Traceback" not in replica.output
    assert fleet.calls == []
