"""Processes of this user without root's capabilities: what they may not read, no process of the same user may read."""

from __future__ import annotations

import sys

_LAUNCHER = """
import ctypes, os, resource, sys
hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
for capability in range(64):
    ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""
"""Drop the capabilities of root (24: PR_CAPBSET_DROP), and allow core files of any size."""


def capless(*argv: str) -> list[str]:
    """Return the command line that runs Python with `argv` without capabilities."""
    return [sys.executable, "-c", _LAUNCHER, sys.executable, *argv]


_READER = """
import sys
def seen(path):
    try:
        with open(path, "rb") as file:
            if path.endswith("mem"):
                with open(path[:-3] + "maps") as maps:
                    file.seek(int(next(maps).split("-")[0], 16))
            return bool(file.read(4))
    except OSError:
        return False
print(*(name for name in ("environ", "mem", "maps") if seen(f"/proc/{sys.argv[1]}/{name}")))
"""


def reader(pid: int) -> list[str]:
    """Return the command line of a process that prints which of `environ`, `mem` and `maps` of `pid` it could read."""
    return capless("-c", _READER, str(pid))
