"""Skips these tests where the servers of npm are not installed; CI has to have them."""

from __future__ import annotations

import os
import subprocess

import pytest

from tests.oauth_servers.servers import FOLDER
from tests.support.programs import found

NODE = 20
"""The oldest that oauth2-mock-server runs with."""


@pytest.fixture(scope="session", autouse=True)
def servers_of_npm() -> None:
    problem = _problem()
    if problem and "CI" in os.environ:
        pytest.fail(problem)
    if problem:
        pytest.skip(problem)


def _problem() -> str:
    node = found("node")
    if node is None or found("nginx") is None:
        return "node or nginx is not there, and tests/install-programs could not install it"
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").partition(".")[0]) < NODE:
        return f"Node {NODE} or newer is needed, not {version.strip()}"
    if not (FOLDER / "node_modules" / ".installed").exists():
        return "tests/oauth_servers/install could not install the servers"
    return ""
