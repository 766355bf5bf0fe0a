"""The image as a pod runs it: no root, no capability, no writing, no shell, no network, 64 MiB."""

from __future__ import annotations

import json
import logging
import re
import time

import pytest

from tests.image.engine import wait_until
from tests.image.images import IMAGE
from tests.image.pod import Pod

logger = logging.getLogger(__name__)

START_S = 30
LOAD_S = 10
COUNTED = """
from pathlib import Path
old, new = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
files = (old / "memory.max_usage_in_bytes", old / "memory.oom_control") if old.exists() else (
    new / "memory.peak", new / "memory.events")
print(*(file.read_text() for file in files))
"""
"""The most memory that it used, and how many of its processes were killed for it, by cgroups of either version."""


@pytest.fixture(scope="module")
def sidecar(pod: Pod, without_shell: str) -> str:
    started = pod.sidecar(without_shell, {})
    wait_until(lambda: pod.healthy(started), START_S)
    return started


def vends(pod: Pod, sidecar: str) -> bool:
    return bool(json.loads(pod.execute(sidecar, "token-sidecar", "token", "--format", "json"))["accessToken"])


def test_it_vends_a_token(pod: Pod, sidecar: str) -> None:
    assert vends(pod, sidecar)


def test_the_image_of_these_tests_has_no_shell(pod: Pod, sidecar: str) -> None:
    assert pod.engine.run("docker", "exec", sidecar, "sh", "-c", "true").returncode != 0


def test_the_first_process_is_the_sidecar_itself_without_any_right(pod: Pod, sidecar: str) -> None:
    command, status = (
        pod.execute(sidecar, "python", "-c", f"print(open('/proc/1/{name}').read().replace(chr(0), ' '))")
        for name in ("cmdline", "status")
    )
    assert command.split()[-2:] == ["/app/bin/token-sidecar", "serve"]
    for line in ("Uid: 65532 65532 65532 65532", "CapEff: 0000000000000000", "NoNewPrivs: 1", "Seccomp: 2"):
        assert line in " ".join(status.split())


def test_its_root_cannot_be_written_to(pod: Pod, sidecar: str) -> None:
    done = pod.engine.run("docker", "exec", "--user", "0", sidecar, "python", "-c", "open('/app/new', 'w')")
    assert b"Read-only file system" in done.stdout


def test_it_runs_under_any_user_id_of_group_0(pod: Pod, without_shell: str) -> None:
    """As OpenShift runs it."""
    environ = {"SIDECAR_LISTEN": "127.0.0.1:8182", "SIDECAR_ADMIN_LISTEN": "127.0.0.1:9182"}
    started = pod.sidecar(without_shell, environ, "--user", "1000680000:0")
    wait_until(lambda: pod.healthy(started), START_S)
    printed = pod.execute(started, "token-sidecar", "token", "--url", "http://127.0.0.1:8182", "--format", "json")
    assert json.loads(printed)["accessToken"]


def test_five_floods_at_once_at_the_memory_limit_kill_nothing(pod: Pod, sidecar: str) -> None:
    seen = json.loads(pod.attack(LOAD_S))
    counted = pod.execute(sidecar, "python", "-c", COUNTED)
    logger.info("%s in %d s, at most %.1f MiB", seen, LOAD_S, int(counted.split()[0]) / 2**20)
    assert seen["good"] > 0 < seen["requests"]
    assert re.findall(r"^oom_kill (\d+)$", counted, re.MULTILINE) == ["0"]
    found = pod.engine.inspect(sidecar)
    assert (found["RestartCount"], found["State"]["OOMKilled"], found["State"]["Running"]) == (0, False, True)
    assert vends(pod, sidecar)
    wait_until(lambda: pod.healthy(sidecar), START_S)


@pytest.mark.parametrize("drain_s", ["0", "5"])
def test_sigterm_ends_it_with_exit_code_0_after_its_drain(pod: Pod, without_shell: str, drain_s: str) -> None:
    started = pod.sidecar(
        without_shell,
        {"SIDECAR_LISTEN": "127.0.0.1:0", "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0", "SIDECAR_DRAIN_S": drain_s},
    )
    wait_until(lambda: "token_changed" in pod.engine.docker("logs", started), START_S)
    began = time.monotonic()
    pod.engine.docker("stop", "--time", "20", started)
    logger.info("stopped in %.2f s, a drain of %s s included", time.monotonic() - began, drain_s)
    assert pod.engine.inspect(started)["State"]["ExitCode"] == 0


@pytest.mark.parametrize("store", ["memory://", "redis://127.0.0.1:6379/0", "sqlite:////tmp/state/state.db"])
def test_a_start_compiles_nothing(pod: Pod, store: str) -> None:
    """Python logs whether each module was read from a .pyc file or compiled, which a read-only root repeats."""
    started = pod.sidecar(
        IMAGE,
        {"SIDECAR_LISTEN": "127.0.0.1:0", "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0", "SIDECAR_STORE": store}
        | {"SIDECAR_LOG_FORMAT": "console", "SIDECAR_SINK_FILE": "/tmp/token", "PYTHONVERBOSE": "1"},
        "--tmpfs=/tmp",
    )
    wait_until(lambda: "token_changed" in pod.engine.docker("logs", started), START_S)
    log = pod.engine.docker("logs", started)
    assert re.search(r"^# code object from .*\.pyc", log, re.MULTILINE)
    assert re.findall(r"^# code object from '?([^'\n]*\.py)'?$", log, re.MULTILINE) == []
