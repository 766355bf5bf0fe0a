"""The sidecar as on OpenShift: under an arbitrary user id that may write only to mounted volumes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.clients.site import partner_process
from tests.support.commands import START_LIMIT_S, process, wait_for
from tests.support.programs import needs

USER_ID = 1_000_680_000
"""A user id without an entry in /etc/passwd."""
# All files of the image can be read by everybody. Python may lie in root's own folder here: so this user, too, can read
# everything, and write nothing more for it.
_READING = "-all,+dac_read_search"
AS_NOBODY_KNOWN = (
    "setpriv", f"--reuid={USER_ID}", "--regid=0", "--clear-groups", "--no-new-privs",
    f"--inh-caps={_READING}", f"--ambient-caps={_READING}", f"--bounding-set={_READING}",
)  # fmt: skip

pytestmark = [needs("setpriv"), pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")]


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that every user may enter. Those of pytest are private, and access(2) ignores capabilities."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def volume(folder: Path, name: str, mode: int) -> Path:
    made = folder / name
    made.mkdir()
    made.chmod(mode)
    return made


def secrets(folder: Path) -> Path:
    """Write files as the kubelet mounts a Secret with `defaultMode: 0444`: owned by root, readable by all."""
    mounted = volume(folder, "credentials", 0o755)
    for name in ("api-key", "api-secret"):
        (mounted / name).write_text(f"demo-{name}\n")
        (mounted / name).chmod(0o444)
    return mounted


def test_it_vends_over_a_socket_and_a_file_and_ends_well(folder: Path) -> None:
    shared = volume(folder, "shared", 0o777)  # an emptyDir
    with partner_process() as partner:
        environ = {
            "HOME": "/",
            "TMPDIR": "/nowhere",
            "SIDECAR_BASE_URL": partner.url,
            "SIDECAR_CREDENTIALS_DIR": str(secrets(folder)),
            "SIDECAR_LISTEN": f"unix:{shared}/token.sock",
            "SIDECAR_ADMIN_LISTEN": f"unix:{shared}/admin.sock",
            "SIDECAR_SINK_FILE": f"{shared}/token",
            "SIDECAR_DRAIN_S": "0",
        }
        with process("serve", environ=environ, started_by=AS_NOBODY_KNOWN) as serve:
            wait_for('("token_file_written")', serve.stdout)
            asked = subprocess.run(
                [*AS_NOBODY_KNOWN, sys.executable, "-m", "sidecar", "token", "--url", f"unix:{shared}/token.sock"],
                capture_output=True,
                text=True,
                check=False,
                timeout=START_LIMIT_S,
            )
            assert (asked.returncode, asked.stderr) == (0, "")
            assert asked.stdout.strip() == (shared / "token").read_text()
            owners = {path.name: (path.stat().st_uid, path.stat().st_gid) for path in shared.iterdir()}
            assert owners == dict.fromkeys(("token.sock", "admin.sock", "token"), (USER_ID, 0))
            serve.send_signal(signal.SIGTERM)
            assert serve.wait(START_LIMIT_S) == 0


@pytest.mark.parametrize("command", [("check",), ("status", "--url", "unix:/nowhere"), ("serve", "--help")])
def test_no_command_needs_a_home_or_a_name_of_its_user(command: tuple[str, ...], folder: Path) -> None:
    environ = {"HOME": "/nowhere", "TMPDIR": "/nowhere", "SIDECAR_CREDENTIALS_DIR": str(secrets(folder))}
    with process(*command, environ=environ, started_by=AS_NOBODY_KNOWN) as started:
        output = "".join(started.communicate(timeout=START_LIMIT_S))
    assert "Traceback" not in output
    assert started.returncode == (3 if command[0] == "status" else 0), output
