"""The task that keeps a token file true, look by look."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from sidecar.core.errors import StartingError
from sidecar.core.events import InternalFailure, TokenFileFailed, TokenFileRemoved, TokenFileWritten
from sidecar.core.model import Secret, token_id_of
from sidecar.file_sink.follower import LOOK_S, Follower
from sidecar.file_sink.token_file import TokenFile
from sidecar.vending.vendor import Vended
from tests.fakes.sink import ListSink
from tests.fakes.vendor import FakeVendor, vended

ONE, TWO = (token_id_of(Secret(text)) for text in ("access-token-one", "access-token-two"))
NONE_YET = StartingError("There is no token yet.", retry_after_s=1)


class Vendor(FakeVendor):
    """A wait for another token ends when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waited_for: list[tuple[str, float]] = []
        self._waits = asyncio.Semaphore(0)
        self._looked = asyncio.Semaphore(0)

    async def changed(self, token_id: str, wait_s: float) -> bool:
        self.waited_for.append((token_id, wait_s))
        self._looked.release()
        await self._waits.acquire()
        return True

    async def looked(self) -> None:
        """The file is as it should be now, as far as its follower knows."""
        await self._looked.acquire()

    async def next_look(self) -> None:
        self._waits.release()
        await self.looked()


class Scene:
    def __init__(self, path: Path) -> None:
        self.path, self.vendor, self.sink = path, Vendor(), ListSink()
        self.file = TokenFile(path, "SIDECAR_SINK_FILE")
        self.follower = Follower(self.vendor, self.file, self.sink)

    def content(self) -> str | None:
        return self.path.read_text() if self.path.exists() else None

    def state(self) -> tuple[str | None, bool]:
        """What is in the file, and whether it is behind."""
        return self.content(), self.follower.behind

    @property
    def told(self) -> list[str]:
        """The ids of what was written, and an empty one for each time it was removed."""
        told = [event for event in self.sink.events if isinstance(event, TokenFileWritten | TokenFileRemoved)]
        return [event.token_id if isinstance(event, TokenFileWritten) else "" for event in told]

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """From the first look on."""
        task = asyncio.create_task(self.follower.run())
        try:
            await self.vendor.looked()
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])
        assert task.cancelled()


@pytest.fixture
async def scene(tmp_path: Path) -> Scene:
    return Scene(tmp_path / "token")


async def test_the_file_follows_the_token(scene: Scene) -> None:
    async with scene.running():
        assert scene.content() == "access-token-one"
        scene.vendor.now = vended("access-token-two")
        await scene.vendor.next_look()
        assert scene.content() == "access-token-two"
    assert scene.content() == "access-token-two", "apps live on after us"
    assert scene.told == [ONE, TWO]


async def test_a_token_that_stays_is_written_once(scene: Scene) -> None:
    async with scene.running():
        before = scene.path.stat()
        await scene.vendor.next_look()
        after = scene.path.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert scene.told == [ONE]


async def test_a_token_that_is_vended_no_more_is_removed_and_comes_back_when_it_is(scene: Scene) -> None:
    """Rejected, past its end, or suspect: the file could not say so."""
    async with scene.running():
        scene.vendor.now = None
        await scene.vendor.next_look()
        assert scene.content() is None
        scene.vendor.now = vended()
        await scene.vendor.next_look()
        assert scene.content() == "access-token-one"
    assert scene.told == [ONE, "", ONE]


async def test_a_wait_is_for_another_than_the_token_held_also_a_suspect_one(scene: Scene) -> None:
    """A change from no token in the file to the suspect one held would be one at once, again and again."""
    scene.vendor.now = None
    scene.vendor.show(token_id=TWO)
    async with scene.running():
        assert scene.vendor.waited_for == [(TWO, LOOK_S)]


@pytest.mark.parametrize("comes", [vended("access-token-two"), None])
async def test_what_an_earlier_process_left_stays_until_there_is_a_token_or_none_in_time(
    comes: Vended | None, scene: Scene
) -> None:
    scene.path.write_text("of before")
    asked = asyncio.Event()
    answer = asyncio.Event()

    async def vend(min_ttl_s: float = 0) -> Vended:
        asked.set()
        await answer.wait()
        if comes is None:
            raise NONE_YET
        return comes

    scene.vendor.now, scene.vendor.vend = comes, vend  # type: ignore[method-assign]  # a wait in the test's hand
    task = asyncio.create_task(scene.follower.run())
    await asked.wait()
    assert scene.state() == ("of before", True)
    answer.set()
    await scene.vendor.looked()
    task.cancel()
    assert scene.state() == (None if comes is None else "access-token-two", False)
    assert scene.told == ["" if comes is None else TWO]


async def test_a_write_that_failed_is_told_with_its_cause_and_tried_again(scene: Scene) -> None:
    in_the_way = scene.path.parent / ".token.tmp"
    in_the_way.mkdir()
    async with scene.running():
        assert scene.state() == (None, True)
        assert [event.cause for event in scene.sink.of(TokenFileFailed)] == ["EISDIR"]
        assert scene.follower.failed
        in_the_way.rmdir()
        await scene.vendor.next_look()
        assert scene.state() == ("access-token-one", False)
        assert not scene.follower.failed


async def test_a_token_that_changes_while_it_is_written_is_followed_without_a_wait(scene: Scene) -> None:
    write = scene.file.write

    def slowly(token: Secret) -> None:
        write(token)
        scene.vendor.now = vended("access-token-two")

    scene.file.write = slowly  # type: ignore[method-assign]  # a disk in the test's hand
    async with scene.running():
        assert scene.content() == "access-token-two"
        assert len(scene.vendor.waited_for) == 1


async def test_a_bug_is_told_and_the_file_followed_on(scene: Scene) -> None:
    current = scene.vendor.current

    def fails() -> Vended | None:
        scene.vendor.current = current  # type: ignore[method-assign]
        raise RuntimeError("canary")

    scene.vendor.current = fails  # type: ignore[method-assign]
    async with scene.running():
        assert [event.where for event in scene.sink.of(InternalFailure)] == ["file sink"]
        await scene.vendor.next_look()
        assert scene.content() == "access-token-one"


async def test_without_any_token_there_is_nothing_to_tell_and_the_file_is_still_to_come(scene: Scene) -> None:
    """Or whoever waits for the first token would be let in before it is in the file."""
    scene.vendor.now, scene.vendor.later = None, NONE_YET
    scene.vendor.show(token_id="")
    async with scene.running():
        assert (scene.state(), scene.told) == ((None, True), [])
        scene.vendor.show(token_id=ONE)
        scene.vendor.now = vended()
        await scene.vendor.next_look()
        assert (scene.state(), scene.told) == (("access-token-one", False), [ONE])
