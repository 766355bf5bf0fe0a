"""The token file on a disk that hangs: an old token that stays in it is reported."""

from __future__ import annotations

import os
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest

from sidecar import file_operations
from sidecar.core.model import Secret, token_id_of
from sidecar.core.process_events import FileStalled, FileStallEnded, TokenFileFailed
from sidecar.token_file_sink import follower
from sidecar.token_file_sink.token_file import TokenFile
from tests.support.fake_provider import vended
from tests.support.replica import until
from tests.support.token_file_scene import Scene

ONE, TWO = (token_id_of(Secret(text)) for text in ("access-token-one", "access-token-two"))
NEVER_S = 3600
T = TypeVar("T")


class Disk:
    """Wraps calls, which hang while `hanging` is active."""

    def __init__(self) -> None:
        self.answers, self.asked = threading.Event(), threading.Event()
        self.answers.set()

    def hanging(self, call: Callable[..., T]) -> Callable[..., T]:
        def wrapped(*arguments: object, **options: object) -> T:
            # The test's own calls do not hang.
            if threading.current_thread() is not threading.main_thread():
                if not self.answers.is_set():
                    self.asked.set()
                self.answers.wait()
            return call(*arguments, **options)

        return wrapped


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "LOOK_S", 0.01)
    # On a slow machine too, operations that do not hang do not count as stalled.
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", NEVER_S)


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "token")


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """A disk whose fsync hangs."""
    disk = Disk()
    monkeypatch.setattr(os, "fsync", disk.hanging(os.fsync))
    return disk


@pytest.fixture
def removals(monkeypatch: pytest.MonkeyPatch) -> Disk:
    """Removals of the file hang until `answers` is set."""
    removals = Disk()
    removals.answers.clear()
    monkeypatch.setattr(TokenFile, "give_up", removals.hanging(TokenFile.give_up))
    return removals


@asynccontextmanager
async def hanging(scene: Scene, disk: Disk, stalled_after_s: float = 0.02) -> AsyncIterator[None]:
    """Wait until the first token is in its file. Later operations of the disk hang while the block runs."""
    disk.answers.clear()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(file_operations, "STALLED_AFTER_S", stalled_after_s)
        try:
            yield
        finally:
            patched.undo()
            disk.answers.set()
    await scene.provider.looked()


def take(scene: Scene, text: str) -> None:
    """Vend another token from now on."""
    scene.provider.now = vended(text)
    scene.provider.show(token_id=token_id_of(Secret(text)))
    scene.provider.end_wait()


def failures(scene: Scene) -> set[tuple[str, bool]]:
    return {(event.cause, event.old_token_left) for event in scene.sink.of(TokenFileFailed)}


async def test_an_old_token_is_removed_with_a_report_while_the_write_of_the_next_one_hangs(
    scene: Scene, disk: Disk
) -> None:
    async with scene.running():
        async with hanging(scene, disk, NEVER_S):
            take(scene, "access-token-two")
            await until(disk.asked.is_set)
            scene.follower._puts._stall()
            # On a busy machine the removal is slow, and an earlier event reports that the token is left.
            await until(lambda: ("stalled", False) in failures(scene))
            assert scene.content() is None
            assert failures(scene) <= {("stalled", False), ("stalled", True)}
            assert [(event.file, event.profile) for event in scene.sink.of(FileStalled)] == [("token-file", "default")]
            assert [stalled.file for stalled in scene.stalls()] == ["token-file"]
            assert scene.sink.of(FileStallEnded) == []
        await scene.provider.next_look()
        assert scene.content() == "access-token-two"
        assert not scene.follower.failed
        assert len(scene.sink.of(FileStallEnded)) == 1
        assert scene.stalls() == ()
        assert scene.changes == [ONE, "", TWO]


async def test_a_write_that_hung_does_not_restore_a_token_that_is_no_longer_vended(scene: Scene, disk: Disk) -> None:
    async with scene.running():
        async with hanging(scene, disk):
            take(scene, "access-token-two")
            await until(lambda: scene.follower.failed)
            scene.provider.now = None
        assert scene.content() is None
        await scene.provider.next_look()
        assert scene.content() is None
        assert TWO not in scene.changes
        assert not scene.follower.failed


async def test_a_rejected_token_does_not_wait_for_the_write_to_count_as_stalled(scene: Scene, disk: Disk) -> None:
    async with scene.running():
        async with hanging(scene, disk, NEVER_S):
            take(scene, "access-token-two")
            await until(disk.asked.is_set)
            assert scene.content() == "access-token-one"
            scene.provider.now = None
            await until(lambda: scene.content() is None)
        assert (failures(scene), scene.changes) == (set(), [ONE, ""])


async def test_on_a_slow_disk_the_previous_token_stays_until_the_next_one_is_written(scene: Scene, disk: Disk) -> None:
    async with scene.running():
        async with hanging(scene, disk, NEVER_S):
            take(scene, "access-token-two")
            await until(disk.asked.is_set)
            assert scene.content() == "access-token-one"
        assert (scene.content(), failures(scene), scene.changes) == ("access-token-two", set(), [ONE, TWO])


async def test_a_good_token_stays_while_a_check_of_its_file_hangs(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk()
    monkeypatch.setattr(Path, "lstat", disk.hanging(Path.lstat))
    async with scene.running():
        async with hanging(scene, disk):
            scene.provider.end_wait()
            await until(lambda: bool(scene.stalls()))
            assert scene.sink.of(FileStalled)
        assert (scene.content(), scene.changes, failures(scene)) == ("access-token-one", [ONE], set())
        assert not scene.follower.failed


async def test_when_the_removal_hangs_too_the_old_token_is_reported_as_left_until_it_is_removed(
    scene: Scene, disk: Disk, removals: Disk
) -> None:
    async with scene.running():
        async with hanging(scene, disk):
            take(scene, "access-token-two")
            await until(lambda: ("stalled", True) in failures(scene))
            assert scene.content() == "access-token-one"
            await until(lambda: len(scene.stalls()) == 2)
            removals.answers.set()
            await until(lambda: scene.content() is None)
            await until(lambda: ("stalled", False) in failures(scene))
        await scene.provider.next_look()
        assert scene.content() == "access-token-two"


async def test_no_token_is_written_while_a_hanging_removal_might_remove_it(
    scene: Scene, disk: Disk, removals: Disk
) -> None:
    async with scene.running():
        async with hanging(scene, disk):
            take(scene, "access-token-two")
            await until(removals.asked.is_set)
        take(scene, "access-token-three")
        scene.sink.events.clear()

        def said() -> bool:
            scene.provider.end_wait()
            return ("stalled", True) in failures(scene)

        def third_is_written() -> bool:
            scene.provider.end_wait()
            return scene.content() == "access-token-three"

        await until(said)
        assert scene.content() != "access-token-three"
        removals.answers.set()
        await until(third_is_written)


async def test_the_end_does_not_wait_for_an_operation_that_hangs(scene: Scene, disk: Disk) -> None:
    try:
        async with scene.running():
            disk.answers.clear()
            take(scene, "access-token-two")
            await until(disk.asked.is_set)
    finally:
        disk.answers.set()


async def test_a_missing_thread_is_reported_and_the_write_is_tried_again(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    async with scene.running():
        with monkeypatch.context() as without:
            without.setattr(threading.Thread, "start", none_left)
            take(scene, "access-token-two")
            await scene.provider.looked()
            assert failures(scene) == {("no-thread", True)}
        await scene.provider.next_look()
        assert scene.content() == "access-token-two"
        assert not scene.follower.failed


async def test_a_failed_removal_is_reported_and_tried_again(
    scene: Scene, disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink, tries = Path.unlink, []

    def fails_once(path: Path, missing_ok: bool = False) -> None:
        tries.append(path)
        if len(tries) == 1:
            raise OSError(5, "Input/output error")
        unlink(path, missing_ok)

    async with scene.running(), hanging(scene, disk):
        monkeypatch.setattr(Path, "unlink", fails_once)
        take(scene, "access-token-two")
        await until(lambda: scene.content() is None)
        assert ("EIO", True) in failures(scene)
        await until(lambda: ("stalled", False) in failures(scene))


async def test_a_removal_whose_directory_sync_hangs_counts_as_a_removal(scene: Scene, disk: Disk) -> None:
    async with scene.running():
        async with hanging(scene, disk):
            scene.provider.now = None
            scene.provider.end_wait()
            await until(lambda: scene.changes == [ONE, ""])
            assert scene.content() is None
        assert (failures(scene), scene.changes, scene.follower.failed) == (set(), [ONE, ""], False)
