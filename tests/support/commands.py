"""The commands as processes, started as users start them."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO

START_LIMIT_S = 60


@contextmanager
def process(
    *argv: str, environ: dict[str, str] | None = None, started_by: Sequence[str] = ()
) -> Iterator[subprocess.Popen[str]]:
    """Start `token-sidecar ARGV` as users do; of this environment it gets only the path.

    `started_by` is a command that runs the one after it, such as setpriv.
    """
    started = subprocess.Popen(
        [*started_by, sys.executable, "-m", "sidecar", *argv],
        env={"PATH": "/usr/bin:/bin"} | (environ or {}),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with started:
        try:
            yield started
        finally:
            started.kill()


def wait_for(pattern: str, stream: IO[str] | None) -> str:
    """Read lines until one matches, and return its first group. Only the time limit of the test ends the wait."""
    assert stream is not None
    seen = []
    for line in stream:
        seen.append(line)
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"{pattern} not in {seen}")
