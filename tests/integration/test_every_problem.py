"""A configuration that cannot work ends with 2, and names every problem of settings and of files."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.commands import START_LIMIT_S

CANARY = "canary"


def ended(command: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sidecar", command],
        env={"PATH": "/usr/bin:/bin", **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=START_LIMIT_S,
    )


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """A file of each kind that cannot be used."""
    (tmp_path / "credentials").mkdir()
    (tmp_path / "credentials/api-key").write_text(f"{CANARY}:x")
    (tmp_path / "seal-keys").write_text(f"{CANARY}\n")
    (tmp_path / "caller-token").write_text(CANARY)
    (tmp_path / "token").mkdir()
    names = {
        "SIDECAR_CREDENTIALS_DIR": "credentials",
        "SIDECAR_SEAL_KEY_FILE": "seal-keys",
        "SIDECAR_CALLER_TOKEN_FILE": "caller-token",
        "SIDECAR_SINK_FILE": "token",
    }
    return {
        "SIDECAR_STORE": "redis://localhost:1",
        "SIDECAR_LISTEN": "127.0.0.1:0",
        "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
        **{name: str(tmp_path / file) for name, file in names.items()},
    }


def of_files(folder: Path) -> list[str]:
    return [
        f"SIDECAR_SEAL_KEY_FILE: {folder}/seal-keys, line 1: ",
        f"SIDECAR_CALLER_TOKEN_FILE: {folder}/caller-token, line 1: ",
        f"profile default: {folder}/credentials/api-key: ",
        f"profile default: {folder}/credentials/api-secret: ",
        f"SIDECAR_SINK_FILE: {folder}/token ",
    ]


def named(stderr: str, beginnings: list[str]) -> list[int]:
    """Count the lines that begin with each."""
    lines = [line.split(": ", 1)[1] for line in stderr.splitlines()]
    return [sum(line.startswith(beginning) for line in lines) for beginning in beginnings]


def test_every_file_is_named_once_where_the_settings_are_right(environ: dict[str, str], tmp_path: Path) -> None:
    done = ended("serve", environ)
    assert done.returncode == 2
    assert named(done.stderr, of_files(tmp_path)) == [1] * 5, done.stderr
    assert len(done.stderr.splitlines()) == 5
    assert CANARY not in done.stderr
    assert "configuration" not in done.stdout


@pytest.mark.parametrize("command", ["serve", "check"])
def test_every_file_is_named_once_where_settings_are_wrong_as_well(
    environ: dict[str, str], tmp_path: Path, command: str
) -> None:
    wrong = {"SIDECAR_POLL_S": "x", "SIDECAR_DRAIN_S": "-1", "SIDECAR_STOER": "memory://"}
    done = ended(command, environ | wrong)
    assert done.returncode == 2
    beginnings = ["SIDECAR_POLL_S ", "SIDECAR_DRAIN_S ", "SIDECAR_STOER ", *of_files(tmp_path)]
    assert named(done.stderr, beginnings) == [1] * 8, done.stderr
    assert len(done.stderr.splitlines()) == 8
    assert CANARY not in done.stderr
