"""What a service manager is told of a service, and that nothing it does or fails to do matters to the service."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.app.service_manager import Health, ServiceManager, words_of
from tests.support.hand_clock import HandClock
from tests.support.replica import until
from tests.support.service_manager import Manager, manager

STARTING = Health(started=False, alive=True, words="No token: default (starting)")
VENDING = Health(started=True, alive=True, words="Vending tokens: default")


class Told:
    """A service of which a manager is told; `health` is as the test sets it, `warned` what the log says."""

    def __init__(self, **environ: str) -> None:
        self.health = STARTING
        self.looked_at: list[float] = []
        self.warned: list[str] = []
        self.clock = HandClock()
        self.manager = ServiceManager(environ, self.clock, self.warned.append)

    def look(self) -> Health:
        self.looked_at.append(self.clock.now)
        return self.health

    async def looked(self) -> None:
        """Returns once the service has been looked at, and that told, from now on."""
        before = len(self.looked_at)
        await until(lambda: len(self.looked_at) > before + 1)


@asynccontextmanager
async def told(**environ: str) -> AsyncIterator[Told]:
    service = Told(**environ)
    task = asyncio.create_task(service.manager.run(service.look, 5))
    try:
        yield service
    finally:
        task.cancel()
        await asyncio.wait((task,))


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Manager]:
    with manager(tmp_path) as opened:
        yield opened


async def test_it_is_ready_when_it_has_started_and_told_so_once(systemd: Manager) -> None:
    async with told(NOTIFY_SOCKET=systemd.address) as service:
        await service.looked()
        assert systemd.receive() == ["EXTEND_TIMEOUT_USEC=15000000", "STATUS=No token: default (starting)"]
        service.health = VENDING
        await service.looked()
        assert systemd.receive() == ["READY=1", "STATUS=Vending tokens: default"]
        service.health = replace(STARTING, started=True)
        await service.looked()
        assert systemd.receive() == ["STATUS=No token: default (starting)"]
        await service.looked()
        assert systemd.receive() == []


async def test_an_abstract_socket_is_told_as_well(tmp_path: Path) -> None:
    with manager(tmp_path, abstract=True) as systemd:
        async with told(NOTIFY_SOCKET=systemd.address) as service:
            service.health = VENDING
            await until(lambda: systemd.received("READY=1"))


async def test_a_watchdog_is_told_twice_an_interval_at_least_while_the_service_is_alive(systemd: Manager) -> None:
    interval_s = 0.3
    async with told(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC="300000", WATCHDOG_PID=str(os.getpid())) as service:
        service.health = VENDING
        await until(lambda: systemd.received("READY=1"))
        await service.looked()
        systemd.receive()
        await until(lambda: "WATCHDOG=1" in systemd.receive())
        first, second = service.looked_at[-2:]
        assert 0 < second - first < interval_s / 2 + 0.001
        service.health = replace(VENDING, alive=False)
        await service.looked()
        systemd.receive()
        await service.looked()
        assert "WATCHDOG=1" not in systemd.receive()


@pytest.mark.parametrize("variables", [{}, {"WATCHDOG_USEC": "300000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}])
async def test_no_watchdog_is_told_that_asks_for_nothing_or_for_another_process(
    systemd: Manager, variables: dict[str, str]
) -> None:
    async with told(NOTIFY_SOCKET=systemd.address, **variables) as service:
        await service.looked()
        assert "WATCHDOG=1" not in systemd.receive()
        assert service.warned == []


async def test_a_drain_is_told_with_the_time_it_takes_and_the_state_changes_no_more(systemd: Manager) -> None:
    async with told(NOTIFY_SOCKET=systemd.address) as service:
        service.health = VENDING
        await until(lambda: systemd.received("READY=1"))
        systemd.receive()
        service.manager.stopping(120)
        service.health = STARTING
        await service.looked()
        assert systemd.receive() == [
            "STOPPING=1", "STATUS=Stopping: tokens are vended for up to 120 s more", "EXTEND_TIMEOUT_USEC=130000000",
        ]  # fmt: skip
        service.manager.reloading()
        assert systemd.receive() == []


async def test_a_reload_is_told_when_it_begins_and_when_it_was_taken(systemd: Manager) -> None:
    async with told(NOTIFY_SOCKET=systemd.address) as service:
        service.manager.reloading()
        await service.looked()
        assert not [line for line in systemd.receive() if line.startswith("RELOADING")]
        service.health = VENDING
        await until(lambda: systemd.received("READY=1"))
        systemd.receive()
        now_us = int(service.clock.now * 1e6)
        service.manager.reloading()
        assert systemd.receive() == ["RELOADING=1", f"MONOTONIC_USEC={now_us}", "READY=1"]


async def test_what_could_not_be_sent_is_sent_when_there_is_room(systemd: Manager) -> None:
    async with told(NOTIFY_SOCKET=systemd.address) as service:
        systemd.fill()
        service.health = VENDING
        await service.looked()
        assert "READY=1" not in systemd.receive()
        await until(lambda: systemd.received("READY=1"))
        assert systemd.status() == VENDING.words
        assert service.warned == []


async def test_a_manager_that_is_not_there_is_a_warning_and_told_when_it_is(tmp_path: Path) -> None:
    async with told(NOTIFY_SOCKET=str(tmp_path / "notify")) as service:
        service.health = VENDING
        await service.looked()
        (warning,) = service.warned
        assert warning.startswith("NOTIFY_SOCKET cannot be written to (ENOENT)")
        with manager(tmp_path) as systemd:
            await until(lambda: systemd.received("READY=1"))


@pytest.mark.parametrize("address", ["vsock:2:1234", "notify", "@", "/" + "x" * 107, "/" + "é" * 60])
async def test_an_address_that_is_none_of_a_unix_socket_is_a_warning(address: str) -> None:
    service = Told(NOTIFY_SOCKET=address, WATCHDOG_USEC="nonsense")
    await service.manager.run(service.look, 5)
    service.manager.stopping(5)
    assert service.warned == ["NOTIFY_SOCKET names no unix socket: the service manager is told nothing"]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "nonsense", "9" * 30, "٣"])
async def test_a_watchdog_without_an_interval_is_a_warning(systemd: Manager, text: str) -> None:
    async with told(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=text) as service:
        await service.looked()
        assert service.warned == ["WATCHDOG_USEC is no number of microseconds: the watchdog is told nothing"]
        assert "WATCHDOG=1" not in systemd.receive()


async def test_without_a_manager_nobody_is_told_and_nothing_looked_at() -> None:
    service = Told(WATCHDOG_USEC="300000")
    await service.manager.run(service.look, 5)
    assert (service.looked_at, service.warned) == ([], [])


def test_the_status_line_names_what_is_vended_and_what_is_missing_with_its_reason() -> None:
    assert words_of(["a", "b"], []) == "Vending tokens: a, b"
    assert words_of([], [("a", "starting")]) == "No token: a (starting)"
    assert words_of(["a"], [("b", "credentials-rejected")]) == "Vending tokens: a. No token: b (credentials-rejected)"


async def test_a_status_line_of_many_profiles_is_cut(systemd: Manager) -> None:
    async with told(NOTIFY_SOCKET=systemd.address) as service:
        service.health = replace(VENDING, words="x" * 100_000)
        await until(lambda: bool(systemd.status()))
        await until(lambda: systemd.status() == "x" * 400)
