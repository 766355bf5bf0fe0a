"""The task that keeps a token file equal to the vended token."""

from __future__ import annotations

import asyncio
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from sidecar.core.errors import StartingError
from sidecar.core.events import InternalFailure
from sidecar.core.model import Secret, token_id_of
from sidecar.core.process_events import (
    TokenFileChange,
    TokenFileChanged,
    TokenFileFailed,
)
from sidecar.token_file_sink.follower import LOOK_S
from sidecar.vending.api import VendedToken
from tests.support.fake_provider import vended
from tests.support.token_file_scene import Scene

ONE, TWO = (token_id_of(Secret(text)) for text in ("access-token-one", "access-token-two"))
NONE_YET = StartingError("There is no token yet.", retry_after_s=1)


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "token")


async def test_the_file_follows_the_token(scene: Scene) -> None:
    async with scene.running():
        assert scene.content() == "access-token-one"
        scene.provider.now = vended("access-token-two")
        await scene.provider.next_look()
        assert scene.content() == "access-token-two"
    assert scene.content() == "access-token-two", "apps live on after us"
    assert scene.changes == [ONE, TWO]


async def test_an_unchanged_token_is_written_once(scene: Scene) -> None:
    async with scene.running():
        before = scene.path.stat()
        await scene.provider.next_look()
        after = scene.path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert scene.changes == [ONE]


async def test_a_token_is_removed_when_it_is_no_longer_vended_and_written_again_when_it_is(scene: Scene) -> None:
    """A rejected, expired or suspect token is removed, because the file cannot mark it."""
    async with scene.running():
        scene.provider.now = None
        await scene.provider.next_look()
        assert scene.content() is None
        scene.provider.now = vended()
        await scene.provider.next_look()
        assert scene.content() == "access-token-one"
    assert scene.changes == [ONE, "", ONE]


async def test_a_wait_ends_with_another_token_than_the_held_one_also_a_suspect_one(scene: Scene) -> None:
    """Otherwise the held suspect token would differ from the empty file, and each wait would end at once."""
    scene.provider.now = None
    scene.provider.show(token_id=TWO)
    async with scene.running():
        assert scene.provider.waited_for == [(TWO, LOOK_S)]


@pytest.mark.parametrize("comes", [vended("access-token-two"), None])
async def test_the_token_of_an_earlier_process_stays_until_there_is_a_new_one_or_a_time_limit(
    comes: VendedToken | None, scene: Scene
) -> None:
    scene.path.write_text("of before")
    asked = asyncio.Event()
    answer = asyncio.Event()

    async def vend(min_ttl_s: float = 0) -> VendedToken:
        asked.set()
        await answer.wait()
        if comes is None:
            raise NONE_YET
        return comes

    scene.provider.now, scene.provider.vend = comes, vend  # type: ignore[method-assign]  # a wait that the test controls
    task = asyncio.create_task(scene.follower.run())
    await asked.wait()
    assert scene.state() == ("of before", True)
    answer.set()
    await scene.provider.looked()
    task.cancel()
    assert scene.state() == (None if comes is None else "access-token-two", False)
    assert scene.changes == ["" if comes is None else TWO]


async def test_a_failed_write_is_reported_with_its_cause_and_tried_again(scene: Scene) -> None:
    scene.path.parent.rmdir()
    async with scene.running():
        assert scene.state() == (None, True)
        failures = [(event.cause, event.old_token_left) for event in scene.sink.of(TokenFileFailed)]
        assert failures == [("ENOENT", False)]
        assert scene.follower.failed
        scene.path.parent.mkdir()
        await scene.provider.next_look()
        assert scene.state() == ("access-token-one", False)
        assert not scene.follower.failed


async def test_a_file_that_becomes_unwritable_is_reported_at_the_next_check(scene: Scene) -> None:
    async with scene.running():
        scene.path.unlink()
        scene.path.parent.rmdir()
        await scene.provider.next_look()
        assert (scene.follower.failed, len(scene.sink.of(TokenFileFailed))) == (True, 1)
        scene.path.parent.mkdir()
        await scene.provider.next_look()
        assert (scene.follower.failed, scene.content(), scene.changes) == (False, "access-token-one", [ONE, ONE])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        (lambda path: path.unlink(), "removed"),
        (lambda path: path.write_text(""), "content"),
        (lambda path: path.write_text("access-token-xxx"), "content"),
        (lambda path: path.chmod(0o600), "mode"),
    ],
)
async def test_a_file_that_another_process_changed_is_corrected_and_reported_at_the_next_check(
    change: Callable[[Path], None], named: TokenFileChange, scene: Scene
) -> None:
    async with scene.running():
        change(scene.path)
        await scene.provider.next_look()
        assert scene.content() == "access-token-one"
        assert stat.S_IMODE(scene.path.stat().st_mode) == 0o640
        assert [event.change for event in scene.sink.of(TokenFileChanged)] == [named]
        assert scene.changes == [ONE]


async def test_a_file_that_another_process_writes_while_there_is_no_token_is_removed(scene: Scene) -> None:
    scene.provider.now = None
    async with scene.running():
        scene.path.write_text("of another sidecar")
        await scene.provider.next_look()
        assert scene.content() is None
        assert [event.change for event in scene.sink.of(TokenFileChanged)] == ["created"]


async def test_a_token_that_is_already_in_the_file_is_not_written_again(scene: Scene) -> None:
    scene.path.write_text("access-token-one")
    scene.path.chmod(0o640)
    before = scene.path.stat()
    async with scene.running():
        now = scene.path.stat()
        assert (now.st_ino, now.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
        assert (scene.changes, scene.follower.behind) == ([ONE], False)


async def test_a_token_that_changes_while_it_is_written_is_followed_without_a_wait(scene: Scene) -> None:
    put = scene.file.put

    def slowly(token: Secret | None) -> TokenFileChange | None:
        change = put(token)
        scene.provider.now = vended("access-token-two")
        scene.provider.show(token_id=TWO)
        return change

    scene.file.put = slowly  # type: ignore[method-assign]  # a disk that the test controls
    async with scene.running():
        assert scene.content() == "access-token-two"
        assert [token_id for token_id, _ in scene.provider.waited_for] == [ONE, TWO]


async def test_an_unexpected_error_is_reported_and_the_task_continues(scene: Scene) -> None:
    current = scene.provider.current

    def fails() -> VendedToken | None:
        scene.provider.current = current  # type: ignore[method-assign]
        raise RuntimeError("canary")

    scene.provider.current = fails  # type: ignore[method-assign]
    async with scene.running():
        assert [event.where for event in scene.sink.of(InternalFailure)] == ["file sink"]
        await scene.provider.next_look()
        assert scene.content() == "access-token-one"


async def test_without_any_token_nothing_is_reported_and_the_first_token_is_still_awaited(scene: Scene) -> None:
    """Otherwise apps that wait for the first token would start before it is in the file."""
    scene.provider.now, scene.provider.later = None, NONE_YET
    scene.provider.show(token_id="")
    async with scene.running():
        assert (scene.state(), scene.changes) == ((None, True), [])
        scene.provider.show(token_id=ONE)
        scene.provider.now = vended()
        await scene.provider.next_look()
        assert (scene.state(), scene.changes) == (("access-token-one", False), [ONE])
