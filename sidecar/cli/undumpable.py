"""Forbids copies of this process's memory: by a core file, a debugger of the same user, or `/proc/PID/mem`."""

from __future__ import annotations

import contextlib
import resource
import sys

_PR_SET_DUMPABLE = 4
"""See `prctl(2)`. In `/proc` the files of a process that is not dumpable belong to root."""


def forbid_dumps() -> None:
    """Deny access to the memory by core dumps and by other processes of this user. Has no effect beyond Linux.

    The limit alone is not enough: the kernel ignores it when dumps are piped to a program (core(5)). The process also
    starts when the kernel refuses either call.
    """
    if sys.platform != "linux":
        return
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # The standard library has no other access to prctl. A Python without libffi has no `ctypes` either.
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
