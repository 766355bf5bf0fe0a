"""The protocol holds its properties in every schedule of the faults below, and each planted bug breaks one of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.model.checker import search
from tests.model.configurations import CLEAN, PLANTED, Planted

# A search with many schedules takes long, and a busy machine makes it longer.
pytestmark = pytest.mark.timeout(900)


@pytest.mark.parametrize("name", CLEAN)
def test_no_schedule_of_these_faults_breaks_a_property(name: str, tmp_path: Path) -> None:
    result = search(tmp_path, CLEAN[name])
    assert not result.violated, f"{result.violated}\n{result.story}"
    assert result.complete, "the search is incomplete, so it proves nothing"


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.name)
def test_a_planted_bug_breaks_its_property(planted: Planted, tmp_path: Path) -> None:
    flags = {**planted.faults, f"BUG_{planted.bug}": 1}
    assert search(tmp_path, flags, checked=planted.breaks).violated == planted.breaks


def test_the_story_of_a_violation_has_its_steps_and_changes(tmp_path: Path) -> None:
    story = search(tmp_path, {"BUG_NO_FENCE": 1, "MAXLATE": 1, "FAULTS": 1}).story
    assert "replica 0 claims: granted" in story
    assert "store: epoch=1" in story
