"""How many files this process may open: each connection is one."""

from __future__ import annotations

import contextlib
import resource

OTHERS = 64
"""Files beside the callers' connections: the store's, the partner's, the log, the event loop's own."""


def allow_open_files(connections: int) -> str | None:
    """Raise the soft limit to the hard one. Answers with a warning where even that is too low for `connections`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # Some systems name a hard limit they do not grant.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
            soft = hard
    if soft == resource.RLIM_INFINITY or soft >= connections + OTHERS:
        return None
    return (
        f"this process may open {soft} files (RLIMIT_NOFILE), fewer than the {connections} connections of both "
        f"listeners (2 x SIDECAR_MAX_CONNECTIONS) and {OTHERS} more: lower SIDECAR_MAX_CONNECTIONS or raise the limit"
    )
