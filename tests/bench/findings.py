"""What was measured besides speed: one line each, against what was to be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`goal` is empty where there is none, and `reached` then says nothing."""

    what: str
    figure: str
    goal: str = ""
    reached: bool = True


def ratio(what: str, figure: str, times: float, most: float) -> Finding:
    """Something that is to be at most so many times something else."""
    return Finding(what, f"{figure}, {times:.2f} of it", f"at most {most:g}", times <= most)


def table(findings: Sequence[Finding]) -> str:
    lines = ["| what | measured | goal | reached |", "|---|---|---|---|"]
    for finding in findings:
        reached = ("yes" if finding.reached else "no") if finding.goal else ""
        lines.append(f"| {finding.what} | {finding.figure} | {finding.goal} | {reached} |")
    return "\n".join([*lines, ""])
