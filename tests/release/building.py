"""Builds the packages with the locked tools, the same bytes for the same commit."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

from tests.release.checkout import git

TOOLS = Path(sys.prefix) / "build-tools"
"""Where the Makefile installs the tools of deploy/docker/build.lock, apart from those of the tests."""


def build(kind: Literal["wheel", "sdist"], source: Path, into: Path) -> Path:
    """Build a package of the sources in `source`, and leave files there. Raises `RuntimeError` with setuptools' output.

    The call is PEP 517's: https://peps.python.org/pep-0517/#build-backend-interface
    """
    code = f"import sys; from setuptools import build_meta; print(build_meta.build_{kind}(sys.argv[1]))"
    done = subprocess.run(
        # -S: no other setuptools is found, so that this fails if the locked one is missing.
        [sys.executable, "-S", "-c", code, str(into.resolve())],
        cwd=source,
        env={**os.environ, "PYTHONPATH": str(TOOLS), "SOURCE_DATE_EPOCH": git("log", "-1", "--format=%ct").strip()},
        umask=0o022,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"no {kind} was built:\n{done.stderr}")
    return into / done.stdout.splitlines()[-1]
