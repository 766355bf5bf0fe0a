"""Credentials on a file system that hangs: no caller waits for it, the stall is reported, and so is its end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from sidecar import file_operations
from sidecar.app.settings_files import BackgroundCredentials
from sidecar.core.errors import CredentialsError
from sidecar.core.model import Credentials, Secret
from sidecar.core.process_events import FileStalled, FileStallEnded
from sidecar.file_operations import FileOperations, FileStalls
from tests.support.held_reading import HeldReading
from tests.support.replica import until
from tests.support.sink import ListSink

HANGS = "/mounted: not read within 0.01 s, the file system hangs"


def credentials(name: str) -> Credentials:
    return Credentials(api_key=Secret(f"key-{name}"), api_secret=Secret(f"secret-{name}"))


class Mounted(HeldReading[Credentials]):
    """A directory of credentials."""

    def read(self) -> Credentials:
        found = self()
        return Credentials(api_key=found.api_key, api_secret=found.api_secret)


class Watched:
    """The credentials under test, and the changes that they have reported."""

    def __init__(self, mounted: Mounted) -> None:
        self.sink = ListSink()
        self.changed = asyncio.Event()
        self.operations = FileOperations("credentials", FileStalls(self.sink), "p")
        self.source = BackgroundCredentials(mounted, self.operations, "/mounted", on_change=self.changed.set)

    def problem(self) -> str:
        with pytest.raises(CredentialsError) as caught:
            self.source.read()
        return str(caught.value)


@pytest.fixture
def mounted() -> Iterator[Mounted]:
    directory = Mounted(credentials("1"))
    yield directory
    directory.answers.set()


@pytest.fixture
def soon_stalled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)


async def test_the_start_waits_for_the_first_reading(mounted: Mounted) -> None:
    assert Watched(mounted).source.read() == credentials("1")
    mounted.now = CredentialsError("api-key: empty")
    assert Watched(mounted).problem() == "api-key: empty"


async def test_a_change_is_reported_and_read_next(mounted: Mounted) -> None:
    watched = Watched(mounted)
    watched.source.read()
    mounted.now = credentials("2")
    assert watched.source.read() == credentials("1")
    await watched.changed.wait()
    assert watched.source.read() == credentials("2")


async def test_a_problem_is_reported_and_raised_next(mounted: Mounted) -> None:
    watched = Watched(mounted)
    watched.source.read()
    mounted.now = CredentialsError("api-key: empty")
    watched.source.read()
    await watched.changed.wait()
    assert watched.problem() == "api-key: empty"


async def test_unchanged_credentials_are_the_same_object_and_are_not_reported(mounted: Mounted) -> None:
    watched = Watched(mounted)
    first = watched.source.read()
    while mounted.calls < 4:
        assert watched.source.read() is first
        await asyncio.sleep(0)
    assert not watched.changed.is_set()


async def test_a_slow_reading_delays_no_caller(mounted: Mounted) -> None:
    watched = Watched(mounted)
    watched.source.read()
    mounted.answers.clear()
    for _ in range(3):
        assert watched.source.read() == credentials("1")
    assert mounted.calls == 2


async def test_a_reading_that_hangs_is_the_only_one_and_an_error_until_it_returns(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(mounted)
    assert watched.source.read() == credentials("1")
    mounted.answers.clear()
    mounted.now = credentials("2")
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
    watched.source.read()
    await until(lambda: watched.operations.stalled)
    assert [watched.problem() for _ in range(3)] == [HANGS] * 3
    assert watched.sink.events == [FileStalled(file="credentials", profile="p")]
    mounted.answers.set()
    await watched.changed.wait()
    assert mounted.calls == 2
    assert watched.source.read() == credentials("2")
    assert watched.sink.of(FileStallEnded)


async def test_the_end_of_a_stall_is_reported_though_the_files_are_unchanged(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched = Watched(mounted)
    watched.source.read()
    mounted.answers.clear()
    monkeypatch.setattr(file_operations, "STALLED_AFTER_S", 0.01)
    watched.source.read()
    await until(lambda: watched.operations.stalled)
    assert watched.problem() == HANGS
    mounted.answers.set()
    await watched.changed.wait()
    assert watched.source.read() == credentials("1")


@pytest.mark.usefixtures("soon_stalled")
async def test_a_first_reading_that_hangs_is_an_error_in_the_end(mounted: Mounted) -> None:
    mounted.answers.clear()
    assert Watched(mounted).problem() == HANGS
