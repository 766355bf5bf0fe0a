"""A real sidecar under a service manager reports that it is ready, that its event loop runs, and that it ends."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Fleet
from tests.support.replica import SERVE, Replica, until
from tests.support.service_manager import Manager, manager

WATCHDOG_S = 0.4
BLOCKING = """
import signal, sys, time
def block(*_):
    print("blocked", flush=True)
    time.sleep(1000)
signal.signal(signal.SIGUSR1, block)
sys.argv[1:] = ["serve"]
from sidecar.__main__ import main
main()
"""
"""On SIGUSR1 the thread of the event loop sleeps; the other threads run on."""


@pytest.fixture
def systemd(tmp_path: Path) -> Iterator[Manager]:
    with manager(tmp_path) as opened:
        yield opened


def launch(fleet: Fleet, systemd: Manager, *argv: str, **settings: str) -> Replica:
    fleet.settings |= {"NOTIFY_SOCKET": systemd.address, "WATCHDOG_USEC": str(int(WATCHDOG_S * 1e6))}
    return fleet.launch(argv or SERVE, STORE="memory://", **settings)


async def test_it_is_ready_when_there_is_a_token_and_not_before(fleet: Fleet, systemd: Manager) -> None:
    fleet.partner_clock.free.clear()
    launch(fleet, systemd, PARTNER_TIMEOUT_S="60", REQUEST_TIMEOUT_S="300")
    await until(lambda: len(fleet.calls) == 1 and systemd.status() == "No token: default (starting)")
    assert not systemd.received("READY=1")
    # This may be more than TimeoutStartSec of the unit.
    assert systemd.lines[0] == "EXTEND_TIMEOUT_USEC=310000000"
    fleet.partner_clock.free.set()
    await until(lambda: systemd.received("READY=1"))
    await until(lambda: systemd.status() == "Vending tokens: default")


async def test_it_is_ready_without_a_token_once_apps_have_waited_long_enough(fleet: Fleet, systemd: Manager) -> None:
    launch(fleet, systemd, BASE_URL="http://127.0.0.1:1", REQUEST_TIMEOUT_S="1")
    await until(lambda: systemd.received("READY=1"))
    await until(lambda: systemd.status() == "No token: default (partner-unavailable)")


async def test_it_reports_its_end_before_the_drain(fleet: Fleet, systemd: Manager) -> None:
    replica = launch(fleet, systemd, DRAIN_S="60")
    await until(lambda: systemd.received("READY=1"))
    replica.signal(signal.SIGTERM)
    await until(lambda: systemd.received("EXTEND_TIMEOUT_USEC=70000000"))
    assert systemd.received("STOPPING=1")
    assert systemd.status() == "Stopping: tokens are vended for up to 60 s more"
    systemd.receive()
    await until(lambda: "WATCHDOG=1" in systemd.receive())
    replica.signal(signal.SIGTERM)
    assert await replica.ended() == 0


async def test_it_reports_a_reload(fleet: Fleet, systemd: Manager) -> None:
    replica = launch(fleet, systemd)
    await until(lambda: systemd.received("READY=1"))
    replica.signal(signal.SIGHUP)
    await until(lambda: systemd.received("RELOADING=1") and systemd.lines.count("READY=1") == 2)
    # By the same clock as the manager's.
    reload_us = int(next(line for line in systemd.lines if line.startswith("MONOTONIC_USEC="))[15:])
    assert 0 <= time.monotonic() - reload_us / 1e6 < 3600


async def test_the_watchdog_gets_messages_while_the_loop_runs_and_none_while_it_is_blocked(
    fleet: Fleet, systemd: Manager
) -> None:
    replica = launch(fleet, systemd, "-c", BLOCKING)
    await until(lambda: systemd.received("READY=1"))
    for _ in range(5):
        systemd.receive()
        await until(lambda: "WATCHDOG=1" in systemd.receive())
    replica.signal(signal.SIGUSR1)
    await until(lambda: "blocked" in replica.output)
    systemd.receive()
    time.sleep(3 * WATCHDOG_S)  # noqa: ASYNC251 - the absence of a message cannot be awaited
    assert systemd.receive() == []


@pytest.mark.parametrize(
    "variables",
    [
        {"NOTIFY_SOCKET": "/nowhere/notify"},
        {"NOTIFY_SOCKET": "vsock:2:9", "WATCHDOG_USEC": "300000"},
        {"NOTIFY_SOCKET": "x" * 5000},
        {"WATCHDOG_USEC": "soon", "WATCHDOG_PID": "me"},
    ],
)
async def test_variables_that_cannot_be_used_stop_nothing(fleet: Fleet, variables: dict[str, str]) -> None:
    fleet.settings |= variables
    (replica,) = await fleet.ready(1, STORE="memory://")
    assert (await replica.ask()).token_id
    await until(lambda: bool(replica.events("configuration_warning")) is ("NOTIFY_SOCKET" in variables))
    await fleet.stop(replica)
