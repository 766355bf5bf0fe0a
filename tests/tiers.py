"""Two tiers of tests: those that need nothing but the virtual environment, and the rest.

`make test` runs the first, `make test-all` both. A test belongs to the rest by its folder or by a marker: `program`
names a program that it needs, `slow` says that a faster test proves the same in another way or with fewer inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypeAlias

import pytest

Tier: TypeAlias = Literal["first", "rest", "both"]
FIRST = ("unit", "deploy", "contract", "integration", "simulation", "fleet", "fast_path")
MARKERS = ("program", "slow")
TESTS = Path(__file__).parent


def is_first(path: Path, markers: Sequence[str]) -> bool:
    """Whether a test of this file with these markers is in the first tier."""
    return path.relative_to(TESTS).parts[0] in FIRST and not set(markers) & set(MARKERS)


def belongs(item: pytest.Item, tier: Tier) -> bool:
    first = is_first(item.path, [marker.name for marker in item.iter_markers()])
    return tier == "both" or first == (tier == "first")
