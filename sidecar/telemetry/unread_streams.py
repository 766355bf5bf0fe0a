"""Keeps output outside the log (errors, the demo's text) from waiting for a reader that has stopped reading."""

from __future__ import annotations

import select
from typing import TextIO

from sidecar.core.model import Seconds


def takes_a_line(stream: TextIO | None, within_s: Seconds = 0) -> bool:
    """Return whether a line of up to 4096 bytes can be written within `within_s` without blocking (pipe(7)).

    True for a stream without a descriptor, and for a pipe without a reader: writing to that fails at once.
    """
    if stream is None:
        return False
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return True
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    return bool(ready.poll(within_s * 1000))
