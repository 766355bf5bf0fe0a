"""A process whose names lead where a test says, as its own machine's would: `python -m tests.support.own_names`.

HOSTS and RESOLV are what it finds at /etc/hosts and /etc/resolv.conf; the rest are Python's arguments. Needs the right
to make a mount namespace.
"""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

_MOUNT = 'mount --bind "$0" /etc/hosts && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"'
_UNSHARE = ("unshare", "--mount", "--propagation", "private")


@functools.cache
def needs_own_names() -> pytest.MarkDecorator:
    """Left out where no mount namespace may be made, as in most containers, or no socket be bound to DNS's port."""
    may = os.geteuid() == 0 and subprocess.run((*_UNSHARE, "true"), capture_output=True, check=False).returncode == 0
    return pytest.mark.skipif(not may, reason="names of its own need root, and the right to make a mount namespace")


class OwnNames:
    """What processes that run with `argv` find; names that are not in `hosts` are asked of a server."""

    def __init__(self, folder: Path, server: str = "127.0.0.1") -> None:
        self._hosts, self._resolv = folder / "hosts", folder / "resolv.conf"
        # A silent server is waited for longer than any test lasts: who waited for it would not end.
        self._resolv.write_text(f"nameserver {server}\noptions timeout:30 attempts:5\n")
        self.lead()

    def lead(self, **hosts: str) -> None:
        """From now on each name leads to this address, also for processes that run."""
        lines = [f"{address} {name}.test\n" for name, address in {"localhost": "127.0.0.1", **hosts}.items()]
        self._hosts.write_text("127.0.0.1 localhost\n" + "".join(lines))

    def argv(self, *argv: str) -> tuple[str, ...]:
        return ("-m", "tests.support.own_names", str(self._hosts), str(self._resolv), *argv)


if __name__ == "__main__":
    os.execvp(_UNSHARE[0], (*_UNSHARE, "sh", "-c", _MOUNT, *sys.argv[1:3], sys.executable, *sys.argv[3:]))
