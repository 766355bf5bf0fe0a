"""deploy/systemd: systemd accepts the unit, and a real sidecar runs with only what it allows."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest

from sidecar.app.running import load_settings
from sidecar.core.listener_limits import Limits
from tests.servers import RedisServer
from tests.support.processes import CONFIG, Fleet, open_fleet
from tests.support.programs import needs
from tests.support.replica import SERVE, until
from tests.support.service_manager import manager

UNIT = Path(__file__).parents[2] / "deploy/systemd/token-sidecar.service"
LINES = [line.split("=", 1) for line in UNIT.read_text().splitlines() if re.match(r"[A-Z]\w+=", line)]
EXPOSURE = 15
"""The score of `systemd-analyze security`, of 100."""
OF_ROOT = {"fchown"}
"""SQLite gives the journal to the owner of the database, but only as root, which the unit's user is not."""
DENYING_WRITE_AND_EXECUTE = f"""
import ctypes, os
if ctypes.CDLL(None).prctl(65, 1, 0, 0, 0):
    print("not here", flush=True)
os.execv({sys.executable!r}, [{sys.executable!r}, "-m", "sidecar", "serve"])
"""
"""PR_SET_MDWE, which the kernel has since 6.3, is what `MemoryDenyWriteExecute=` asks for."""


def values(name: str) -> list[str]:
    return [value for key, value in LINES if key == name]


def seconds(name: str) -> float:
    return float(values(name)[0])


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """A copy of the unit that starts the program of this machine."""
    copy = tmp_path / UNIT.name
    program = Path(sysconfig.get_path("scripts")) / "token-sidecar"
    copy.write_text(UNIT.read_text().replace("/opt/token-sidecar/bin/token-sidecar", str(program)))
    return copy


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(("systemd-analyze", *arguments), capture_output=True, text=True, check=False)


@needs("systemd-analyze")
def test_systemd_finds_nothing_wrong_with_it(unit: Path) -> None:
    done = analyze("verify", unit)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@needs("systemd-analyze")
def test_systemd_counts_little_that_it_leaves_open(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={EXPOSURE}", unit)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Overall exposure level" in done.stdout


def test_its_settings_are_settings_that_fit_together() -> None:
    given = [value.replace("%d", "/run/credentials/token-sidecar.service") for value in values("Environment")]
    settings = load_settings(dict(value.split("=", 1) for value in given))
    (profile,) = settings.profiles
    files = {value.partition(":")[0] for value in values("LoadCredential")}
    assert files == {"api-key", "api-secret", Path(settings.seal_key_file or "").name}
    assert str(profile.credentials_dir) == "/run/credentials/token-sidecar.service"
    assert settings.warnings == ()
    (socket,) = settings.listen
    assert Path(socket.file).parent == Path("/run", values("RuntimeDirectory")[0])
    assert settings.store.text.reveal().startswith(f"sqlite:///var/lib/{values('StateDirectory')[0]}/")


def test_its_limits_leave_room_for_the_defaults() -> None:
    assert seconds("LimitNOFILE") >= 2 * Limits().max_connections + 64
    assert seconds("TimeoutStopSec") > load_settings({"SIDECAR_API_KEY": "k", "SIDECAR_API_SECRET": "s"}).drain_s + 2


@pytest.fixture
async def machine(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Fleet]:
    """A partner, and settings like those of the unit. Its Redis is not used."""
    async with open_fleet(tmp_path, redis_server, CONFIG) as fleet:
        fleet.settings |= {
            "SIDECAR_STORE": f"sqlite://{tmp_path}/state/state.db",
            "SIDECAR_SINK_FILE": str(tmp_path / "token"),
            "SIDECAR_BASE_URL": fleet.partner_url.replace("127.0.0.1", "localhost"),
        }
        yield fleet


def below(pid: int) -> int:
    """The process that this one traces, or itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


async def used(machine: Fleet, folder: Path, argv: Sequence[str]) -> str:
    """Start it, ask for a token, have it read its files again, get its page, stop it, and return its output."""
    with manager(folder) as systemd:
        machine.settings["NOTIFY_SOCKET"] = systemd.address
        replica = machine.launch(argv)
        await replica.listening()
        await until(lambda: systemd.received("READY=1"))
    assert (await replica.ask()).token_id
    assert (await replica.admin("/status")).status == 200
    for number in (signal.SIGHUP, signal.SIGTERM):
        os.kill(below(replica.process.pid), number)
    assert await replica.ended() == 0
    return replica.output


async def test_it_runs_where_no_memory_may_be_written_and_executed(machine: Fleet, tmp_path: Path) -> None:
    output = await used(machine, tmp_path, ("-c", DENYING_WRITE_AND_EXECUTE))
    if "not here" in output:
        pytest.skip("this kernel cannot deny it")


def allowed() -> set[str]:
    """The system calls of the filter of the unit: those named, without those named with ~."""
    names: set[str] = set()
    for value in values("SystemCallFilter"):
        found = {name for each in value.removeprefix("~").split() for name in expanded(each)}
        names = names - found if value.startswith("~") else names | found
    return names


def expanded(name: str) -> set[str]:
    if not name.startswith("@"):
        return {name}
    lines = analyze("syscall-filter", name).stdout.splitlines()
    inner = [line.strip() for line in lines[1:] if line.strip() and not line.strip().startswith("#")]
    return {each for line in inner for each in expanded(line)}


@needs("systemd-analyze")
@needs("strace")
async def test_it_makes_no_system_call_that_the_filter_denies(machine: Fleet, tmp_path: Path) -> None:
    traced = tmp_path / "calls"
    trace = ("strace", "-f", "-qq", "-o", str(traced), sys.executable, *SERVE)
    await used(machine, tmp_path, ("-c", f"import os; os.execvp('strace', {trace!r})"))
    calls = set(re.findall(r"^\d+\s+(?:<\.\.\. )?(\w+)[ (]", traced.read_text(), re.MULTILINE))
    assert {"bind", "fsync", "execve"} <= calls
    assert calls - allowed() - (OF_ROOT if os.geteuid() == 0 else set()) == set()
