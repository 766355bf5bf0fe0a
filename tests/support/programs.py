"""Programs of the system that some tests need."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.servers import has_tls, server_binary

_TLS = "a server with TLS"


def found(name: str) -> str | None:
    """Return the path of the program, also in /usr/sbin, which only root has in its path, and in Python's folder."""
    beside_python = Path(sys.executable).parent
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:{beside_python}")


def needs(name: str) -> pytest.MarkDecorator:
    """Put a test into the tier of those that need other programs (`tests/tiers.py`)."""
    return pytest.mark.program(name)


def server_with_tls() -> pytest.MarkDecorator:
    """Put a test into that tier if its store must support TLS: Debian's server does, those of wheels do not."""
    return pytest.mark.program(_TLS)


def skip_without_programs(item: pytest.Item) -> None:
    """Skip the test if its program is missing; fail it in CI, where all programs have to be installed."""
    names = [marker.args[0] for marker in item.iter_markers("program")]
    if _TLS in names and not _has_tls():
        pytest.skip("this server is built without TLS")
    missing = [name for name in names if name != _TLS and found(name) is None]
    if missing and "CI" not in os.environ:
        pytest.skip(f"{', '.join(missing)}: not there, and tests/install-programs could not install it")


@functools.cache
def _has_tls() -> bool:
    return has_tls(server_binary())
