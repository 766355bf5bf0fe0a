"""Signals during the start of a process, at audit events of Python: an import, a socket."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from tests.support.commands import START_LIMIT_S, wait_for

SIGNALLED = """
import os, signal, sys
import sidecar.__main__ as main
moment, number = sys.argv.pop(), int(sys.argv.pop())
sent, end = False, os._exit
def hook(event, args):
    global sent
    if not sent and moment in (event, f"{event} {args[0] if args else ''}"):
        sent = True
        signal.raise_signal(number)
def at_the_end(code):
    os._exit = end
    signal.raise_signal(number)
    end(code)
if moment == "the end":
    os._exit = at_the_end
sys.addaudithook(hook)
main.main()
"""
"""`token-sidecar` with two more arguments: the signal that it gets from itself, and when, at an audit event or the end.

Events are those of https://docs.python.org/3/library/audit_events.html, with their first argument where that is named.
"""

MOMENTS = {
    "serve": (
        "import sidecar.app.process",
        "import sidecar.cli.main",
        "import argparse",
        "import sidecar.config.load",
        "import asyncio",
        "import uvloop",
        "import sidecar.credentials.directory",
        "import sidecar.web.server.listener",
        "socket.gethostname",
        "socket.bind",
    ),
    "sandbox": ("import sidecar.cli.main", "import uvloop", "socket.bind"),
    "demo": ("import sidecar.cli.main", "import uvloop", "socket.bind"),
}
EACH = [pytest.param(command, moment, id=f"{command}-{moment}") for command in MOMENTS for moment in MOMENTS[command]]
ARGUMENTS = {
    "serve": ("serve",),
    "sandbox": ("sandbox", "--listen", "127.0.0.1:0"),
    "demo": ("demo", "--port", "0", "--admin-port", "0", "--gateway-port", "0"),
    "token": ("token",),
    "status": ("status",),
    "check": ("check",),
}
RUNNING = {"serve": "(service_started)", "sandbox": "(Ctrl-C stops it)", "demo": "(Ctrl-C stops it)"}
ENVIRON = {
    "PATH": os.defpath,
    "SIDECAR_BASE_URL": "http://127.0.0.1:1",
    "SIDECAR_API_KEY": "k",
    "SIDECAR_API_SECRET": "s",
    "SIDECAR_LISTEN": "127.0.0.1:0",
    "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
    "SIDECAR_DRAIN_S": "0",
}


AS_PROCESS_1 = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@functools.cache
def needs_process_ids() -> pytest.MarkDecorator:
    """Skip where no namespace of process ids may be made, as in most containers."""
    may = (
        os.geteuid() == 0 and subprocess.run((*AS_PROCESS_1, "true"), capture_output=True, check=False).returncode == 0
    )
    return pytest.mark.skipif(not may, reason="to be process 1 needs root, and the right to make a namespace")


@contextmanager
def signalled(
    command: str, number: signal.Signals, moment: str, below: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Start the command, by the programs `below`. It sends itself the signal at the moment."""
    argv = [*below, sys.executable, "-c", SIGNALLED, *ARGUMENTS[command], str(int(number)), moment]
    with subprocess.Popen(argv, env=ENVIRON, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as started:
        try:
            yield started
        finally:
            started.kill()


@pytest.mark.parametrize(("command", "moment"), EACH)
def test_a_stop_during_the_start_ends_the_process_with_0(command: str, moment: str) -> None:
    with signalled(command, signal.SIGTERM, moment) as started:
        output, _ = started.communicate(timeout=START_LIMIT_S)
    assert (started.returncode, "Traceback" in output) == (0, False), output


@needs_process_ids()
@pytest.mark.parametrize(
    "moment",
    [
        pytest.param(moment, marks=[pytest.mark.slow] if number else [])
        for number, moment in enumerate(MOMENTS["serve"])
    ],
)
def test_process_1_of_a_container_ends_as_well(moment: str) -> None:
    """The kernel does not deliver signals to process 1 without a handler."""
    with signalled("serve", signal.SIGTERM, moment, AS_PROCESS_1) as started:
        output, _ = started.communicate(timeout=START_LIMIT_S)
    assert started.returncode == 0, output


@pytest.mark.parametrize(("command", "moment"), EACH)
def test_a_hang_up_during_the_start_ends_nothing(command: str, moment: str) -> None:
    with signalled(command, signal.SIGHUP, moment) as started:
        wait_for(RUNNING[command], started.stdout)
        started.send_signal(signal.SIGHUP)
        started.send_signal(signal.SIGTERM)
        output, _ = started.communicate(timeout=START_LIMIT_S)
    assert started.returncode == 0, output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("command", MOMENTS)
def test_a_signal_while_it_ends_changes_nothing(command: str, number: signal.Signals) -> None:
    with signalled(command, number, "the end") as started:
        wait_for(RUNNING[command], started.stdout)
        started.send_signal(signal.SIGTERM)
        output, _ = started.communicate(timeout=START_LIMIT_S)
    assert started.returncode == 0, output


@pytest.mark.parametrize("command", ["token", "status", "check"])
def test_a_command_that_was_stopped_before_it_was_done_does_not_end_with_0(command: str) -> None:
    with signalled(command, signal.SIGTERM, "import sidecar.cli.main") as started:
        started.communicate(timeout=START_LIMIT_S)
    assert started.returncode == -signal.SIGTERM
