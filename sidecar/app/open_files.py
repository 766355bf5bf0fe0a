"""How many files this process may open, and how many of them the listeners may use: each connection is one."""

from __future__ import annotations

import contextlib
import resource
from dataclasses import dataclass

OTHERS = 64
"""Files beside the callers' connections: the store's, the partner's, credentials, the log, the event loop's own."""


@dataclass(frozen=True, slots=True)
class ConnectionShares:
    """The most connections of each listener; `warning` is a sentence for the log where the limit lowers them."""

    vending: int
    admin: int
    warning: str | None = None


def share_open_files(connections: int) -> ConnectionShares:
    """Raise the soft limit to the hard one, and divide what there is between the listeners and all the rest.

    `connections` is what each listener may have at most. Where there are too few files for that, `OTHERS` of them, or
    five eighths of a low limit, are kept for the rest. Of the others a quarter goes to the admin listener, so that
    probes are answered while the vending listener is full.
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
    """The soft limit, after it was raised as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems name a hard limit they do not grant.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            return hard
    return soft
