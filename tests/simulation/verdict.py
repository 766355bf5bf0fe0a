"""The result of one seed, and the command that repeats it."""

from __future__ import annotations

from dataclasses import dataclass

from tests.simulation.plan import Plan

SHOWN = 40
"""Lines of history in a report: the last ones, which led to the violation."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """`violation` is empty when every invariant held. `history` is (virtual second, who, what)."""

    plan: Plan
    violation: str
    history: list[tuple[float, str, str]]
    virtual_s: float
    calls: int
    vended: int
    suspect: int
    refused: int
    faults: int

    def report(self) -> str:
        """Return a short history for people."""
        shown = [line for line in self.history if "Held" not in line[2]][-SHOWN:]
        return "\n".join(
            [
                f"seed {self.plan.seed}: {self.violation or 'every invariant held'}",
                f"{self.plan.replicas} replicas, {len(self.plan.profiles)} profiles, faults: "
                + ", ".join(sorted(self.plan.faults)),
                *(f"{at_s:9.3f}  {who:9}  {what}" for at_s, who, what in shown),
                f"replay it: make simulate SEED={self.plan.seed}",
            ]
        )
