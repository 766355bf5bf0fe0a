"""The process itself: its memory, open files, dumps, and what it prints of unexpected errors."""

from __future__ import annotations

import contextlib
import gc
import resource
import sys
import threading
import warnings
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TextIO

from sidecar.core.model import Seconds
from sidecar.core.safe_traceback import safe_line
from sidecar.telemetry.line_writer import takes_a_line


def settle() -> None:
    """Exempt all objects that exist now from garbage collection.

    A full collection of them would block all requests for six milliseconds. It now visits later objects only.
    """
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """Return memory to the system after many connections: a third of theirs, as a block with any used part stays.

    A C library without `malloc_trim` (all but glibc) keeps its part.
    """
    gc.collect()
    with contextlib.suppress(ImportError, OSError, AttributeError):
        import ctypes

        ctypes.CDLL(None).malloc_trim(0)


OTHERS = 64
"""Open files besides the callers' connections: of the store, the partner, credentials, the log and the event loop."""


_CALLS_OF_A_GATEWAY = 128
"""Open files of each gateway besides its apps' connections: its connections to the partner (`MAX_CALLS` there)."""


@dataclass(frozen=True, slots=True)
class ConnectionShares:
    """The maximum connections of each listener; `warning` is a sentence for the log when the limit lowers them."""

    vending: int
    """Of the vending listener, and of each gateway."""
    admin: int
    warning: str | None = None


def share_open_files(connections: int, gateways: int = 0) -> ConnectionShares:
    """Raise the soft limit to the hard limit, and divide the files between the listeners and all other uses.

    `connections` is the maximum of each listener. If there are too few files, those of other uses, or five eighths of a
    low limit, are kept for them. The admin listener gets a quarter of the remaining files, so that probes get a
    response while the other listeners are full.
    """
    files = _raised_limit()
    others, for_callers = OTHERS + gateways * _CALLS_OF_A_GATEWAY, 1 + gateways
    needed = (for_callers + 1) * connections
    if files == resource.RLIM_INFINITY or files >= needed + others:
        return ConnectionShares(connections, connections)
    left = files - min(others, files * 5 // 8)
    vending = max(1, min(connections, left * 3 // 4 // for_callers))
    admin = max(1, min(connections, left - vending * for_callers))
    listeners, each = ("both listeners", "the vending listener") if not gateways else (
        "all listeners", "each of the vending listener and the gateways"
    )  # fmt: skip
    return ConnectionShares(
        vending,
        admin,
        f"this process may open {files} files (RLIMIT_NOFILE), fewer than the {needed} connections of {listeners} "
        f"({for_callers + 1} x SIDECAR_MAX_CONNECTIONS) and {others} more: {each} takes {vending} connections "
        f"and the admin listener {admin}; raise the limit, or lower SIDECAR_MAX_CONNECTIONS",
    )


def _raised_limit() -> int:
    """Raise the soft limit as far as the system allows, and return it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems report a hard limit and refuse to set it.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return hard
    return soft


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


_LAST_WORD_S: Seconds = 0.5


def install_error_hooks() -> None:
    """Replace Python's output for uncaught errors, in any thread, and for warnings: an error's text may quote a secret.

    A running service handles warnings itself; `check` and the sandbox do not.
    """
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: write_to_stderr("thread", args.exc_value)
    sys.unraisablehook = lambda args: write_to_stderr("clean-up", args.exc_value)
    warnings.showwarning = _warned


def _warned(
    message: Warning | str,  # noqa: ARG001 - Python's signature; the text must not be shown
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - the same
    line: str | None = None,  # noqa: ARG001 - the same
) -> None:
    write_to_stderr(f"{category.__name__} ({Path(filename).name}:{lineno})", None)


def _uncaught(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    write_to_stderr("internal failure", error, _LAST_WORD_S)


def write_to_stderr(what: str, error: BaseException | None, within_s: Seconds = 0) -> None:
    """Write one line to stderr, with the error's places and classes, if that does not block for `within_s`."""
    # A process that ends may have no stderr any more. One with an unread stderr must end as well.
    if takes_a_line(sys.stderr, within_s):
        sys.stderr.write(f"{safe_line(what, error)}\n")
