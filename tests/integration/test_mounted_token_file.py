"""A token file that is a mount point itself, as with `docker run -v file:file` and a `subPath`."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

_UNSHARE = ("unshare", "--mount", "--propagation", "private")
MOUNT = 'mount --bind "$0" "$0" && exec "$@"'
PUT = """
import sys
from pathlib import Path
from sidecar.core.model import Secret
from sidecar.token_file_sink.token_file import TokenFile, TokenFileError
for token in (Secret("new"), None):
    try:
        TokenFile(Path(sys.argv[1])).put(token)
    except TokenFileError as error:
        print(error.cause, error.old_token_left)
"""


@functools.cache
def needs_mounts() -> pytest.MarkDecorator:
    """Skip where no mount namespace may be made, as in most containers."""
    may = os.geteuid() == 0 and subprocess.run((*_UNSHARE, "true"), capture_output=True, check=False).returncode == 0
    return pytest.mark.skipif(not may, reason="a mount needs root, and the right to make a mount namespace")


def with_mounted(path: Path, *argv: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run Python with `argv` in a namespace where the file is mounted over itself."""
    path.write_text("old")
    command = (*_UNSHARE, "sh", "-c", MOUNT, str(path), sys.executable, *argv)
    environ = {"PATH": os.environ["PATH"], **{f"SIDECAR_{name}": value for name, value in settings.items()}}
    return subprocess.run(command, env=environ, capture_output=True, text=True, check=False)


@needs_mounts()
@pytest.mark.parametrize("command", ["check", "serve"])
def test_a_mounted_file_is_refused_and_the_folder_named_as_what_to_mount(command: str, tmp_path: Path) -> None:
    path = tmp_path / "token"
    settings = {"API_KEY": "k", "API_SECRET": "s", "SINK_FILE": str(path), "LISTEN": "127.0.0.1:0"}
    done = with_mounted(path, "-m", "sidecar", command, ADMIN_LISTEN="127.0.0.1:0", **settings)
    said = f"{path} is a mount point, which cannot be replaced: mount its folder, {tmp_path}, instead"
    assert f"SIDECAR_SINK_FILE: {said}" in done.stdout + done.stderr
    assert done.returncode == {"check": 1, "serve": 2}[command]


@needs_mounts()
def test_a_file_that_becomes_a_mount_point_keeps_the_old_token_and_that_is_said(tmp_path: Path) -> None:
    path = tmp_path / "token"
    done = with_mounted(path, "-c", PUT, str(path))
    assert (done.stdout, done.stderr) == ("EBUSY True\nEBUSY True\n", "")
    assert (path.read_text(), [each.name for each in tmp_path.iterdir()]) == ("old", ["token"])
