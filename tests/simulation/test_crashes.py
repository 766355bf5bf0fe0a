"""A process killed, or stopped for longer than its lease, before each of its steps: not only where one would look."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.model import Budget, Profile
from tests.simulation.plan import Fault, plan_of
from tests.simulation.run import run_plan

PROFILE = Profile(
    base_url="https://partner.example",
    lifetime_s=20,
    refresh_at=0.6,
    margin_s=2,
    partner_timeout_s=2,
    budget=Budget(6, 60),
)
SEEDS = 3
"""So that the one that is struck is the holder in some cold starts and some rotations."""


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("fault", [Fault.KILL, Fault.PAUSE])
def test_a_process_may_be_struck_before_any_step_of_it(fault: Fault, seed: int) -> None:
    """Through a cold start, and a rotation after 12 s."""
    plan = replace(plan_of(seed), replicas=2, profiles=(PROFILE,), faults=frozenset(), storm_s=14, ask_every_s=4)
    step, struck = 0, True
    while struck:
        verdict = run_plan(replace(plan, strike=(fault, step)))
        assert not verdict.violation, f"before step {step}: {verdict.report()}"
        struck, step = verdict.faults > 0, step + 1
    assert step > 30, "hardly a step was struck"
