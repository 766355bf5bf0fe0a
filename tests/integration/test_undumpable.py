"""A crash leaves no core file, and no other process of the same user can read our memory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.servers import free_port
from tests.support.capless import capless, reader

LIMIT_S = 60
PATIENT = "print(flush=True); input()"
"""A Python process that does nothing."""
PATHS = {"PATH": os.defpath, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}


def serve(port: int) -> dict[str, str]:
    return PATHS | {
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_ADMIN_LISTEN": f"127.0.0.1:{port}",
        "SIDECAR_BASE_URL": "http://127.0.0.1:1",
        "SIDECAR_API_KEY": "canary-key",
        "SIDECAR_API_SECRET": "canary-secret",
    }


@contextmanager
def started(*argv: str, environ: dict[str, str], folder: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """Python without capabilities, once it has written its first line."""
    process = subprocess.Popen(
        capless(*argv), env=environ, cwd=folder, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def read_by_a_stranger(pid: int) -> list[str]:
    done = subprocess.run(reader(pid), capture_output=True, text=True, check=True, timeout=LIMIT_S)
    return done.stdout.split()


def limits(pid: int) -> list[str]:
    """Return the soft and the hard limit of core files."""
    line = next(line for line in Path(f"/proc/{pid}/limits").read_text().splitlines() if "core file" in line)
    return line.split()[4:6]


@pytest.mark.parametrize(
    "argv",
    [
        ("serve",),
        ("demo", "--port", "0", "--admin-port", "0", "--gateway-port", "0"),
        ("sandbox", "--listen", "127.0.0.1:0"),
    ],
)
def test_no_process_of_the_same_user_reads_our_environment_or_memory(argv: tuple[str, ...]) -> None:
    with started("-m", "sidecar", *argv, environ=serve(0)) as process:
        assert read_by_a_stranger(process.pid) == []
        assert limits(process.pid) == ["0", "0"]


def test_the_stranger_reads_that_of_any_other_process() -> None:
    """Show that the test above can fail."""
    with started("-c", PATIENT, environ=PATHS) as process:
        assert "environ" in read_by_a_stranger(process.pid)


@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
def test_a_crash_leaves_no_core_where_another_process_may(number: signal.Signals) -> None:
    left = {}
    for name, argv in {"ours": ("-m", "sidecar", "serve"), "another": ("-c", PATIENT)}.items():
        with tempfile.TemporaryDirectory() as folder, started(*argv, environ=serve(0), folder=Path(folder)) as process:
            process.send_signal(number)
            _, status = os.waitpid(process.pid, 0)
            process.returncode = -os.WTERMSIG(status)
            left[name] = (os.WCOREDUMP(status), any(Path(folder).iterdir()))
    assert left["ours"] == (False, False), left


@pytest.mark.parametrize("command", ["serve", "check", "status", "token", "sandbox", "demo"])
def test_every_command_begins_with_it(command: str) -> None:
    """It is protected before it reads anything: commands begin with `run`."""
    source = (
        "import sys, ctypes, resource, sidecar.__main__ as main\n"
        "main.run = lambda *_: print(ctypes.CDLL(None).prctl(3), *resource.getrlimit(resource.RLIMIT_CORE)) or 0\n"
        f"sys.argv[1:] = [{command!r}]; main.main()"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=LIMIT_S)
    assert done.stdout.split() == ["0", "0", "0"]


def test_a_system_that_has_no_such_thing_is_no_reason_to_stop() -> None:
    source = (
        "import sys; from sidecar.app.process import forbid_dumps\n"
        "sys.modules['ctypes'] = None; forbid_dumps()\n"
        "sys.platform = 'darwin'; forbid_dumps()"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=LIMIT_S)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_process_metrics_are_still_there() -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}/metrics"
    with started("-m", "sidecar", "serve", environ=serve(port)), urllib.request.urlopen(url, timeout=LIMIT_S) as answer:
        text = answer.read().decode()
    for name in ("open_fds", "max_fds", "resident_memory_bytes", "cpu_seconds_total", "start_time_seconds"):
        assert f"\nprocess_{name} " in text


def test_the_process_metrics_are_there_for_a_user_who_is_not_root_too() -> None:
    """Its files in `/proc` belong to root then. Root becomes such a user once everything is imported."""
    source = (
        "import os, sidecar.app; from sidecar.telemetry.metrics import Metrics\n"
        "from sidecar.app.process import forbid_dumps\n"
        "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "forbid_dumps(); print(Metrics(list, [], '1').render('')[0].decode())"
    )
    done = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True, timeout=LIMIT_S)
    assert "\nprocess_open_fds " in done.stdout
    assert "\nprocess_max_fds " in done.stdout
