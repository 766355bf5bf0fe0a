"""Whole fleets under storms of faults: some hundreds of the schedules that `make simulate` runs by the ten thousand."""

from __future__ import annotations

import pytest

from tests.simulation.planted import HUNTS, Hunt
from tests.simulation.run import run_plan, run_seed
from tests.simulation.verdict import Verdict

SEEDS_PER_TEST = 25
TESTS = 10
HUNTED_SEEDS = 100


@pytest.mark.parametrize("first", range(0, TESTS * SEEDS_PER_TEST, SEEDS_PER_TEST))
def test_no_storm_breaks_an_invariant(first: int) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        verdict = run_seed(seed)
        assert not verdict.violation, verdict.report()


def test_a_seed_replays_exactly() -> None:
    first, again = run_seed(3), run_seed(3)
    assert len(first.history) > 50
    assert first.history == again.history


@pytest.mark.parametrize("hunt", HUNTS, ids=lambda hunt: hunt.bug.__name__)
def test_a_planted_bug_is_found(hunt: Hunt) -> None:
    """And by nothing but the bug: without it the same schedule breaks nothing."""
    with hunt.bug():
        found = _first_violation(hunt)
    assert found is not None, f"{hunt.bug.__name__} was not found in {HUNTED_SEEDS} seeds"
    assert not run_plan(found.plan).violation


def test_a_verdict_says_how_to_see_it_again() -> None:
    with HUNTS[2].bug():
        found = _first_violation(HUNTS[2])
    assert found is not None
    report = found.report()
    assert f"make simulate SEED={found.plan.seed}" in report
    assert found.violation in report
    assert len(report.splitlines()) < 50


def _first_violation(hunt: Hunt) -> Verdict | None:
    return next((verdict for plan in hunt.plans(HUNTED_SEEDS) if (verdict := run_plan(plan)).violation), None)
