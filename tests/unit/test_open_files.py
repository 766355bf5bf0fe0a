"""The process raises its own limit of open files, and says when that is not enough."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
resource.setrlimit(resource.RLIMIT_NOFILE, (64, int(sys.argv[1])))
from sidecar.app.open_files import allow_open_files
print(allow_open_files(int(sys.argv[2])))
print(resource.getrlimit(resource.RLIMIT_NOFILE)[0])
"""


def limited(hard: int, connections: int) -> list[str]:
    """What a process with this hard limit warns of, and the soft limit it ends up with."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(hard), str(connections)], capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    hard = min(300, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert limited(hard, 100) == ["None", str(hard)]


@pytest.mark.parametrize("connections", [137, 2048])
def test_a_limit_that_is_too_low_is_a_warning_with_its_arithmetic(connections: int) -> None:
    warning, soft = limited(200, connections)
    assert soft == "200"
    assert "may open 200 files (RLIMIT_NOFILE)" in warning
    assert f"{connections} connections of both listeners" in warning
    assert limited(200, 136) == ["None", "200"]
