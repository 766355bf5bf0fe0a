"""No copy of this process's memory: no core file, no debugger of the same user, no look into `/proc/PID/mem`."""

from __future__ import annotations

import contextlib
import resource
import sys

_PR_SET_DUMPABLE = 4
"""`prctl(2)`; what belongs to a process that is not dumpable belongs to root in `/proc`."""


def forbid_dumps() -> None:
    """From now on neither a crash nor another process of this user gets at the memory; nothing beyond Linux.

    The limit alone would not do: the kernel passes it over where dumps are piped to a program (core(5)). A kernel that
    refuses either is no reason not to start.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The standard library has no other way to prctl. A Python without libffi lacks even this one.
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
