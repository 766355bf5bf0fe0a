"""Which tests `make test` runs, and which `make test-all` adds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tiers import FIRST, TESTS, is_first


@pytest.mark.parametrize(
    ("path", "markers", "first"),
    [
        ("unit/test_policy.py", [], True),
        ("fleet/test_cool_down.py", ["parametrize", "timeout"], True),
        ("fleet/test_wall_clocks.py", ["program"], False),
        ("integration/test_web_parsers.py", ["parametrize", "slow"], False),
        ("browser/test_status_live.py", [], False),
        ("test_of_no_folder.py", [], False),
    ],
)
def test_a_test_belongs_to_the_first_tier_by_its_folder_unless_it_is_marked(
    path: str, markers: list[str], first: bool
) -> None:
    assert is_first(TESTS / path, markers) == first


def test_the_folders_of_the_first_tier_have_tests() -> None:
    assert [name for name in FIRST if not list(Path(TESTS / name).glob("test_*.py"))] == []
