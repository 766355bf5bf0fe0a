"""The process raises its own limit of open files, and divides a limit that is too low for all connections."""

from __future__ import annotations

import resource
import subprocess
import sys

import pytest

PROGRAM = """
import resource, sys
hard = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (min(16, hard), hard))
from sidecar.app.process import share_open_files
shares = share_open_files(int(sys.argv[2]))
print(shares.vending, shares.admin, resource.getrlimit(resource.RLIMIT_NOFILE)[0])
print(shares.warning)
"""


def limited(hard: int, connections: int) -> tuple[tuple[int, ...], str]:
    """Return the shares of vending and admin with the soft limit, and the warning, for this hard limit."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(hard), str(connections)], capture_output=True, text=True, check=True
    )
    numbers, warning = done.stdout.splitlines()
    return tuple(map(int, numbers.split())), warning


def test_the_soft_limit_is_raised_to_the_hard_one() -> None:
    hard = min(300, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
    assert limited(hard, 50) == ((50, 50, hard), "None")


@pytest.mark.parametrize(
    ("hard", "connections", "vending", "admin"),
    [
        (200, 69, 69, 67),
        (200, 1024, 102, 34),
        (1024, 512, 512, 448),
        (64, 512, 18, 6),
        (16, 512, 4, 2),
        (64, 10, 10, 10),
    ],
)
def test_a_limit_that_is_too_low_is_divided_and_logged_with_its_arithmetic(
    hard: int, connections: int, vending: int, admin: int
) -> None:
    numbers, warning = limited(hard, connections)
    assert numbers == (vending, admin, hard)
    assert f"may open {hard} files (RLIMIT_NOFILE)" in warning
    assert f"{2 * connections} connections of both listeners" in warning
    assert f"the vending listener takes {vending} connections and the admin listener {admin}" in warning


def test_a_limit_that_is_just_enough_lowers_nothing() -> None:
    assert limited(200, 68) == ((68, 68, 200), "None")


@pytest.mark.parametrize("hard", [*range(16, 200, 7), 1024])
def test_there_is_room_for_an_admin_connection_and_for_the_rest(hard: int) -> None:
    (vending, admin, _), _ = limited(hard, 100_000)
    assert min(vending, admin) >= 1
    assert vending + admin <= hard - min(64, hard * 5 // 8)
