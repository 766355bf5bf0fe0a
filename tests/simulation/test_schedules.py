"""Whole fleets under storms of faults: 250 of the schedules that `make simulate` runs by the ten thousand."""

from __future__ import annotations

from unittest import mock

import pytest

from sidecar.core.model import Budget, Profile
from tests.simulation.plan import Fault, Plan
from tests.simulation.planted import HUNTS, Hunt
from tests.simulation.replica_truth import Truth
from tests.simulation.run import run_plan, run_seed
from tests.simulation.verdict import Verdict

SEEDS_PER_TEST = 25
TESTS, SLOW_TESTS = 4, 6
HUNTED_SEEDS = 100


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(number * SEEDS_PER_TEST, marks=[pytest.mark.slow] if number >= TESTS else [])
        for number in range(TESTS + SLOW_TESTS)
    ],
)
def test_no_storm_breaks_an_invariant(first: int) -> None:
    for seed in range(first, first + SEEDS_PER_TEST):
        verdict = run_seed(seed)
        assert not verdict.violation, verdict.report()


def test_a_seed_always_gives_the_same_history() -> None:
    first, again = run_seed(3), run_seed(3)
    assert len(first.history) > 50
    assert first.history == again.history


@pytest.mark.parametrize("hunt", HUNTS, ids=lambda hunt: hunt.bug.__name__)
def test_a_planted_bug_is_found(hunt: Hunt) -> None:
    """Only the bug causes the violation: without it the same schedule breaks no invariant."""
    with hunt.bug():
        found = _first_violation(hunt)
    assert found is not None, f"{hunt.bug.__name__} was not found in {HUNTED_SEEDS} seeds"
    assert not run_plan(found.plan).violation


def test_a_verdict_contains_the_command_that_repeats_it() -> None:
    with HUNTS[2].bug():
        found = _first_violation(HUNTS[2])
    assert found is not None
    report = found.report()
    assert f"make simulate SEED={found.plan.seed}" in report
    assert found.violation in report
    assert len(report.splitlines()) < 50


def test_a_window_whose_observers_have_ended_is_lost_as_a_whole() -> None:
    """One replica in a crash loop, and a store clock that is set forward: a new replica is granted a new budget."""
    profile = Profile(
        base_url="https://partner.example", lifetime_s=40, budget=Budget(6, 30), partner_timeout_s=1, cooldown_s=5
    )
    faults = {
        Fault.STORE_CLOCK, Fault.KILL, Fault.PARTNER, Fault.HOSTILITY, Fault.RESTART, Fault.CREDENTIALS,
        Fault.WALL_CLOCKS,
    }  # fmt: skip
    plan = Plan(
        seed=1016,
        replicas=1,
        profiles=(profile,),
        faults=frozenset(faults),
        storm_s=150,
        every_s=1,
        ask_every_s=0.3,
    )
    with mock.patch.object(Truth, "windows_lost_since", return_value=0):
        assert "calls within" in run_plan(plan).violation
    assert not run_plan(plan).violation


def _first_violation(hunt: Hunt) -> Verdict | None:
    return next((verdict for plan in hunt.plans(HUNTED_SEEDS) if (verdict := run_plan(plan)).violation), None)
