"""The notifications that a service manager gets. No failure of the manager affects the service."""

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


class NotifiedService:
    """A service that notifies a manager. A test sets `health`; `warned` has the logged warnings."""

    def __init__(self, **environ: str) -> None:
        self.health = STARTING
        self.checked_at: list[float] = []
        self.warned: list[str] = []
        self.clock = HandClock()
        self.manager = ServiceManager(environ, self.clock, self.warned.append)

    def health_now(self) -> Health:
        self.checked_at.append(self.clock.now)
        return self.health

    async def checked(self) -> None:
        """Return after the next check of the service and its notification."""
        before = len(self.checked_at)
        await until(lambda: len(self.checked_at) > before + 1)


@asynccontextmanager
async def notified_service(**environ: str) -> AsyncIterator[NotifiedService]:
    service = NotifiedService(**environ)
    task = asyncio.create_task(service.manager.run(service.health_now, 5))
    try:
        yield service
    finally:
        task.cancel()
        await asyncio.wait((task,))


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Manager]:
    with manager(tmp_path) as opened:
        yield opened


async def test_readiness_is_sent_once_after_the_start(systemd: Manager) -> None:
    async with notified_service(NOTIFY_SOCKET=systemd.address) as service:
        await service.checked()
        assert systemd.receive() == ["EXTEND_TIMEOUT_USEC=15000000", "STATUS=No token: default (starting)"]
        service.health = VENDING
        await service.checked()
        assert systemd.receive() == ["READY=1", "STATUS=Vending tokens: default"]
        service.health = replace(STARTING, started=True)
        await service.checked()
        assert systemd.receive() == ["STATUS=No token: default (starting)"]
        await service.checked()
        assert systemd.receive() == []


async def test_notifications_reach_an_abstract_socket_too(tmp_path: Path) -> None:
    with manager(tmp_path, abstract=True) as systemd:
        async with notified_service(NOTIFY_SOCKET=systemd.address) as service:
            service.health = VENDING
            await until(lambda: systemd.received("READY=1"))


async def test_the_watchdog_is_notified_at_least_twice_an_interval_while_the_service_is_alive(systemd: Manager) -> None:
    interval_s = 0.3
    async with notified_service(
        NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC="300000", WATCHDOG_PID=str(os.getpid())
    ) as service:
        service.health = VENDING
        await until(lambda: systemd.received("READY=1"))
        await service.checked()
        systemd.receive()
        await until(lambda: "WATCHDOG=1" in systemd.receive())
        first, second = service.checked_at[-2:]
        assert 0 < second - first < interval_s / 2 + 0.001
        service.health = replace(VENDING, alive=False)
        await service.checked()
        systemd.receive()
        await service.checked()
        assert "WATCHDOG=1" not in systemd.receive()


@pytest.mark.parametrize("variables", [{}, {"WATCHDOG_USEC": "300000", "WATCHDOG_PID": "1"}, {"WATCHDOG_USEC": ""}])
async def test_no_watchdog_is_notified_without_an_interval_or_for_another_process(
    systemd: Manager, variables: dict[str, str]
) -> None:
    async with notified_service(NOTIFY_SOCKET=systemd.address, **variables) as service:
        await service.checked()
        assert "WATCHDOG=1" not in systemd.receive()
        assert service.warned == []


async def test_a_drain_is_sent_with_its_duration_and_the_status_no_longer_changes(systemd: Manager) -> None:
    async with notified_service(NOTIFY_SOCKET=systemd.address) as service:
        service.health = VENDING
        await until(lambda: systemd.received("READY=1"))
        systemd.receive()
        service.manager.stopping(120)
        service.health = STARTING
        await service.checked()
        assert systemd.receive() == [
            "STOPPING=1", "STATUS=Stopping: tokens are vended for up to 120 s more", "EXTEND_TIMEOUT_USEC=130000000",
        ]  # fmt: skip
        service.manager.reloading()
        assert systemd.receive() == []


async def test_the_beginning_and_the_end_of_a_reload_are_sent(systemd: Manager) -> None:
    async with notified_service(NOTIFY_SOCKET=systemd.address) as service:
        service.manager.reloading()
        await service.checked()
        assert not [line for line in systemd.receive() if line.startswith("RELOADING")]
        service.health = VENDING
        await until(lambda: systemd.received("READY=1"))
        systemd.receive()
        now_us = int(service.clock.now * 1e6)
        service.manager.reloading()
        assert systemd.receive() == ["RELOADING=1", f"MONOTONIC_USEC={now_us}", "READY=1"]


async def test_a_notification_that_could_not_be_sent_is_sent_when_there_is_room(systemd: Manager) -> None:
    async with notified_service(NOTIFY_SOCKET=systemd.address) as service:
        systemd.fill()
        service.health = VENDING
        await service.checked()
        assert "READY=1" not in systemd.receive()
        await until(lambda: systemd.received("READY=1"))
        assert systemd.status() == VENDING.words
        assert service.warned == []


async def test_a_missing_manager_is_a_warning_and_is_notified_once_it_is_there(tmp_path: Path) -> None:
    async with notified_service(NOTIFY_SOCKET=str(tmp_path / "notify")) as service:
        service.health = VENDING
        await service.checked()
        (warning,) = service.warned
        assert warning.startswith("NOTIFY_SOCKET cannot be written to (ENOENT)")
        with manager(tmp_path) as systemd:
            await until(lambda: systemd.received("READY=1"))


@pytest.mark.parametrize("address", ["vsock:2:1234", "notify", "@", "/" + "x" * 107, "/" + "é" * 60])
async def test_an_address_that_is_not_a_unix_socket_is_a_warning(address: str) -> None:
    service = NotifiedService(NOTIFY_SOCKET=address, WATCHDOG_USEC="nonsense")
    await service.manager.run(service.health_now, 5)
    service.manager.stopping(5)
    assert service.warned == ["NOTIFY_SOCKET names no unix socket: the service manager is told nothing"]


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "nonsense", "9" * 30, "٣"])
async def test_a_watchdog_without_an_interval_is_a_warning(systemd: Manager, text: str) -> None:
    async with notified_service(NOTIFY_SOCKET=systemd.address, WATCHDOG_USEC=text) as service:
        await service.checked()
        assert service.warned == ["WATCHDOG_USEC is no number of microseconds: the watchdog is told nothing"]
        assert "WATCHDOG=1" not in systemd.receive()


async def test_without_a_manager_nothing_is_sent_or_checked() -> None:
    service = NotifiedService(WATCHDOG_USEC="300000")
    await service.manager.run(service.health_now, 5)
    assert (service.checked_at, service.warned) == ([], [])


def test_the_status_line_names_vended_profiles_and_missing_ones_with_the_reason() -> None:
    assert words_of(["a", "b"], []) == "Vending tokens: a, b"
    assert words_of([], [("a", "starting")]) == "No token: a (starting)"
    assert words_of(["a"], [("b", "credentials-rejected")]) == "Vending tokens: a. No token: b (credentials-rejected)"


async def test_a_status_line_of_many_profiles_is_shortened(systemd: Manager) -> None:
    async with notified_service(NOTIFY_SOCKET=systemd.address) as service:
        service.health = replace(VENDING, words="x" * 100_000)
        await until(lambda: bool(systemd.status()))
        await until(lambda: systemd.status() == "x" * 400)
