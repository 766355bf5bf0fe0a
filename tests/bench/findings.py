"""Results besides speed: one line each, with the goal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Finding:
    """`goal` is empty if there is none; `reached` then has no meaning."""

    what: str
    figure: str
    goal: str = ""
    reached: bool = True


def ratio(what: str, figure: str, times: float, most: float) -> Finding:
    """Return the finding that one figure is at most `most` times another one."""
    return Finding(what, f"{figure}, {times:.2f} of it", f"at most {most:g}", times <= most)


def table(findings: Sequence[Finding]) -> str:
    lines = ["| what | measured | goal | reached |", "|---|---|---|---|"]
    for finding in findings:
        reached = ("yes" if finding.reached else "no") if finding.goal else ""
        lines.append(f"| {finding.what} | {finding.figure} | {finding.goal} | {reached} |")
    return "\n".join([*lines, ""])
