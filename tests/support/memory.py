"""Copies of a secret in the memory of another process."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.support.secret_encodings import inside_base64

READABLE = (
    "-c",
    (
        "import os, sys; from sidecar.cli.main import run; from sidecar.config.environment import take_environment;"
        "sys.exit(run(['serve'], take_environment(os.environ)))"
    ),
)
"""`serve` without the protection of its memory, so that a test that is not root can read it."""


def writable_memory(pid: int) -> Iterator[bytes]:
    """Yield the writable memory of the process, area by area."""
    areas = Path(f"/proc/{pid}/maps").read_text().splitlines()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for area in areas:
            where, rights, *_ = area.split()
            begin, end = (int(text, 16) for text in where.split("-"))
            if rights.startswith("rw"):
                memory.seek(begin)
                # The process may have released the area since.
                with contextlib.suppress(OSError):
                    yield memory.read(end - begin)


def copies(pid: int, secret: bytes) -> int:
    """Return how often the secret is in memory as it is, in base64, or in the base64 of a longer text."""
    forms = [secret, *(inner.encode() for inner in inside_base64(secret))]
    return sum(area.count(form) for area in writable_memory(pid) for form in forms)
