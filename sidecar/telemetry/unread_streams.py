"""Keeps what is printed beside the log (errors, the demo's text) from waiting for a reader that reads nothing."""

from __future__ import annotations

import select
from typing import TextIO

from sidecar.core.model import Seconds


def takes_a_line(stream: TextIO | None, within_s: Seconds = 0) -> bool:
    """Whether a line of up to 4096 bytes can be written now, or within that time, without blocking (pipe(7)).

    True for what has no descriptor, and for a pipe whose reader has gone: writing to that fails at once.
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
