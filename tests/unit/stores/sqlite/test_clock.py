"""The file's clock: an uptime and an offset, which never goes back."""

from __future__ import annotations

import time

import pytest

from sidecar.stores.sqlite.clock import KeptTime, MachineReadings, time_now
from tests.support.hand_clock import HandClock
from tests.support.hand_readings import HandReadings

DAY_S = 86_400


@pytest.fixture
def machine() -> HandReadings:
    return HandReadings()


def reboot(machine: HandReadings, off_s: float) -> None:
    """Reboot after this time off: the wall clock runs on, and the uptime starts at zero."""
    machine.wall += round(off_s * 1000)
    machine.boot_id, machine.uptime = "boot-2", 0


def test_a_new_file_begins_with_the_wall_clock(machine: HandReadings) -> None:
    assert time_now(None, machine).last_ms == machine.wall


@pytest.mark.parametrize("step_s", [DAY_S, -DAY_S])
def test_a_step_of_the_wall_clock_changes_nothing(machine: HandReadings, step_s: int) -> None:
    began = time_now(None, machine)
    machine.advance(10)
    machine.wall += step_s * 1000
    assert time_now(began, machine).last_ms == began.last_ms + 10_000


def test_processes_that_share_the_stored_values_share_the_time(machine: HandReadings) -> None:
    kept = time_now(None, machine)
    other = HandReadings()
    other.wall += 5_000_000
    assert time_now(kept, other) == time_now(kept, machine)


def test_after_a_reboot_time_goes_on_from_the_wall_clock(machine: HandReadings) -> None:
    began = time_now(None, machine)
    machine.advance(10)
    before = time_now(began, machine)
    reboot(machine, off_s=3600)
    after = time_now(before, machine)
    assert after.last_ms == before.last_ms + 3_600_000
    machine.advance(5)
    assert time_now(after, machine).last_ms == after.last_ms + 5_000


def test_after_a_reboot_with_a_wall_clock_that_lost_its_battery_time_never_goes_back(machine: HandReadings) -> None:
    before = time_now(None, machine)
    reboot(machine, off_s=60)
    machine.wall = 0
    after = time_now(before, machine)
    assert after.last_ms == before.last_ms
    machine.advance(1)
    assert time_now(after, machine).last_ms == before.last_ms + 1_000


def test_a_second_reboot_goes_on_from_the_first(machine: HandReadings) -> None:
    before = time_now(None, machine)
    reboot(machine, off_s=60)
    between = time_now(before, machine)
    machine.advance(10)
    machine.boot_id, machine.uptime = "boot-3", 2_000
    assert time_now(between, machine).last_ms == before.last_ms + 70_000


def test_on_a_machine_that_was_restored_to_an_earlier_state_time_goes_on_from_the_wall_clock(
    machine: HandReadings,
) -> None:
    """A virtual machine from a snapshot has the same boot id and a lower uptime."""
    began = time_now(None, machine)
    machine.advance(600)
    before = time_now(began, machine)
    machine.uptime -= 500_000
    assert time_now(before, machine).last_ms == before.last_ms
    machine.wall += 7_000
    assert time_now(before, machine).last_ms == before.last_ms + 7_000


def test_without_a_boot_id_a_lower_uptime_shows_the_reboot(machine: HandReadings) -> None:
    machine.boot_id = ""
    before = time_now(None, machine)
    machine.wall += 60_000
    machine.uptime = 0
    assert time_now(before, machine).last_ms == before.last_ms + 60_000


def test_this_machine_has_increasing_readings_and_one_boot_id() -> None:
    one, other = MachineReadings(HandClock()), MachineReadings(HandClock())
    assert one.boot_id == other.boot_id
    assert other.uptime_ms() >= one.uptime_ms() > 0
    assert one.wall_ms() == round(HandClock().wall() * 1000)


def test_the_clock_runs_at_the_rate_of_real_time() -> None:
    readings = MachineReadings(HandClock())
    kept = KeptTime(readings.boot_id, 0, 0)
    before_s = time.monotonic()
    first, began = time_now(kept, readings).last_ms, time.monotonic()
    while time.monotonic() - began < 0.02:
        pass
    passed_ms = time_now(kept, readings).last_ms - first
    assert 19 <= passed_ms <= 1000 * (time.monotonic() - before_s) + 1
