"""Credentials on a file system that hangs: nobody waits for it, it is said, and its return is seen."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest

from sidecar.app import background_credentials
from sidecar.app.background_credentials import STALLED_AFTER_S, BackgroundCredentials
from sidecar.core.errors import CredentialsError
from sidecar.core.model import Credentials, Secret
from tests.fakes.hand_clock import HandClock

HANGS = "/mounted: not read within 5 s, the file system hangs"


def pair(name: str) -> Credentials:
    return Credentials(api_key=Secret(f"key-{name}"), api_secret=Secret(f"secret-{name}"))


class Mounted:
    """A directory of credentials; its readings return while `answers` is set."""

    def __init__(self) -> None:
        self.now: Credentials | str = pair("1")
        self.answers = threading.Event()
        self.answers.set()
        self.readings = 0
        self.entered = threading.Semaphore(0)
        self.threads: set[threading.Thread] = set()

    def read(self) -> Credentials:
        self.readings += 1
        self.threads.add(threading.current_thread())
        self.entered.release()
        self.answers.wait()
        if isinstance(self.now, str):
            raise CredentialsError(self.now)
        return Credentials(api_key=self.now.api_key, api_secret=self.now.api_secret)


class Watched:
    """What is under test, and whether it has said that something changed."""

    def __init__(self, mounted: Mounted) -> None:
        self.clock = HandClock()
        self.changed = asyncio.Event()
        self.source = BackgroundCredentials(mounted, self.clock, "/mounted", on_change=self.changed.set)


@pytest.fixture
def mounted() -> Iterator[Mounted]:
    directory = Mounted()
    yield directory
    directory.answers.set()


async def test_the_first_reading_is_waited_for(mounted: Mounted) -> None:
    assert Watched(mounted).source.read() == pair("1")
    mounted.now = "api-key: empty"
    with pytest.raises(CredentialsError, match="api-key: empty"):
        Watched(mounted).source.read()


async def test_a_change_is_told_and_read_next(mounted: Mounted) -> None:
    watched = Watched(mounted)
    watched.source.read()
    mounted.now = pair("2")
    assert watched.source.read() == pair("1")
    await watched.changed.wait()
    assert watched.source.read() == pair("2")


async def test_a_problem_is_told_and_raised_next(mounted: Mounted) -> None:
    watched = Watched(mounted)
    watched.source.read()
    mounted.now = "api-key: empty"
    watched.source.read()
    await watched.changed.wait()
    with pytest.raises(CredentialsError, match="api-key: empty"):
        watched.source.read()


async def test_a_pair_that_stays_is_the_same_object_and_nothing_is_told(mounted: Mounted) -> None:
    watched = Watched(mounted)
    first = watched.source.read()
    while mounted.readings < 4:
        assert watched.source.read() is first
        await asyncio.sleep(0)
    assert not watched.changed.is_set()


async def test_a_reading_that_hangs_holds_up_nobody_and_is_the_only_one(mounted: Mounted) -> None:
    watched = Watched(mounted)
    assert watched.source.read() == pair("1")
    mounted.answers.clear()
    mounted.now = pair("2")
    for _ in range(3):
        assert watched.source.read() == pair("1")
        watched.clock.now += STALLED_AFTER_S / 3 - 0.01
    watched.clock.now += 0.1
    for _ in range(3):
        with pytest.raises(CredentialsError) as caught:
            watched.source.read()
        assert str(caught.value) == HANGS
    mounted.answers.set()
    await watched.changed.wait()
    assert mounted.readings == 2
    assert watched.source.read() == pair("2")


async def test_the_end_of_a_stall_is_told_though_the_files_are_as_before(mounted: Mounted) -> None:
    watched = Watched(mounted)
    watched.source.read()
    mounted.answers.clear()
    watched.source.read()
    watched.clock.now += STALLED_AFTER_S
    with pytest.raises(CredentialsError):
        watched.source.read()
    mounted.answers.set()
    await watched.changed.wait()
    assert watched.source.read() == pair("1")


async def test_a_first_reading_that_hangs_is_an_error_in_the_end(
    mounted: Mounted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(background_credentials, "STALLED_AFTER_S", 0.01)
    mounted.answers.clear()
    with pytest.raises(CredentialsError, match=r"/mounted: not read within 0\.01 s"):
        Watched(mounted).source.read()


async def test_no_reading_keeps_the_process_from_ending(mounted: Mounted) -> None:
    Watched(mounted).source.read()
    (thread,) = mounted.threads
    assert thread.daemon
    assert thread is not threading.current_thread()


async def test_a_reading_that_ends_after_the_loop_is_passed_over(mounted: Mounted) -> None:
    def run() -> None:
        async def start() -> None:
            watched = Watched(mounted)
            watched.source.read()
            mounted.answers.clear()
            watched.source.read()
            for _ in range(2):
                mounted.entered.acquire()

        asyncio.run(start())

    await asyncio.to_thread(run)
    mounted.answers.set()
    for thread in mounted.threads:
        await asyncio.to_thread(thread.join)


async def test_without_a_thread_the_problem_is_named(mounted: Mounted, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(CredentialsError, match="/mounted: no thread can be started"):
        Watched(mounted).source.read()
