"""A process killed, or stopped for longer than its lease, before each of its steps, not only at likely places."""

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
"""So that the affected process is the holder in some cold starts and some rotations."""


@pytest.mark.parametrize("seed", range(SEEDS))
@pytest.mark.parametrize("fault", [Fault.KILL, Fault.PAUSE])
def test_a_process_may_be_stopped_or_killed_before_any_of_its_steps(fault: Fault, seed: int) -> None:
    """Through a cold start, and a rotation after 12 s."""
    plan = replace(plan_of(seed), replicas=2, profiles=(PROFILE,), faults=frozenset(), storm_s=14, ask_every_s=4)
    step, injected = 0, True
    while injected:
        verdict = run_plan(replace(plan, process_fault=(fault, step)))
        assert not verdict.violation, f"before step {step}: {verdict.report()}"
        injected, step = verdict.faults > 0, step + 1
    assert step > 30, "too few steps were tested"
