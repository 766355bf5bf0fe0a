"""The limit of open files of this process, and the share of the listeners: each connection is an open file."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass

OTHERS = 64
"""Open files besides the callers' connections: of the store, the partner, credentials, the log and the event loop."""


@dataclass(frozen=True, slots=True)
class ConnectionShares:
    """The maximum connections of each listener; `warning` is a sentence for the log when the limit lowers them."""

    vending: int
    admin: int
    warning: str | None = None


def share_open_files(connections: int) -> ConnectionShares:
    """Raise the soft limit to the hard limit, and divide the files between the listeners and all other uses.

    `connections` is the maximum of each listener. If there are too few files, `OTHERS` of them, or five eighths of a
    low limit, are kept for other uses. The admin listener gets a quarter of the remaining files, so that probes get
    a response while the vending listener is full.
    """
    files = _raised_limit()
    if files == resource.RLIM_INFINITY or files >= 2 * connections + OTHERS:
        return ConnectionShares(connections, connections)
    left = files - min(OTHERS, files * 5 // 8)
    vending = max(1, min(connections, left * 3 // 4))
    admin = max(1, min(connections, left - vending))
    return ConnectionShares(
        vending,
        admin,
        f"this process may open {files} files (RLIMIT_NOFILE), fewer than the {2 * connections} connections of both "
        f"listeners (2 x SIDECAR_MAX_CONNECTIONS) and {OTHERS} more: the vending listener takes {vending} connections "
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
