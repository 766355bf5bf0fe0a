"""A process with its own host names and DNS server: `python -m tests.support.own_names`.

HOSTS and RESOLV replace /etc/hosts and /etc/resolv.conf; the rest are Python's arguments. Needs the right
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
    """Skip the test where no mount namespace may be made, as in most containers, or the DNS port cannot be bound."""
    may = os.geteuid() == 0 and subprocess.run((*_UNSHARE, "true"), capture_output=True, check=False).returncode == 0
    return pytest.mark.skipif(not may, reason="names of its own need root, and the right to make a mount namespace")


class OwnNames:
    """The host names of processes that run with `argv`; names that are not in `hosts` are looked up at a server."""

    def __init__(self, folder: Path, server: str = "127.0.0.1") -> None:
        self._hosts, self._resolv = folder / "hosts", folder / "resolv.conf"
        # The time-out for a silent server is longer than any test: a process that waited for it would not end.
        self._resolv.write_text(f"nameserver {server}\noptions timeout:30 attempts:5\n")
        self.resolve_to()

    def resolve_to(self, **hosts: str) -> None:
        """Resolve each name to this address from now on, also for processes that run."""
        lines = [f"{address} {name}.test\n" for name, address in {"localhost": "127.0.0.1", **hosts}.items()]
        self._hosts.write_text("127.0.0.1 localhost\n" + "".join(lines))

    def argv(self, *argv: str) -> tuple[str, ...]:
        return ("-m", "tests.support.own_names", str(self._hosts), str(self._resolv), *argv)


if __name__ == "__main__":
    os.execvp(_UNSHARE[0], (*_UNSHARE, "sh", "-c", _MOUNT, *sys.argv[1:3], sys.executable, *sys.argv[3:]))
