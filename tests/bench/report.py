"""The page: figures, ratios, the machine they were had on, and a picture of them."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.findings import Finding, table
from tests.bench.measure import SCENARIOS, Results, Scenario

NOISY = 1 / 3
"""Rounds of the limit that lie farther apart tell of the machine."""
OURS = "sidecar"
GOALS = (
    ("many", "nginx proxy_cache", 1.1), ("many", "Go net/http", 1.5), ("many", "C epoll loop (the limit)", 0.8),
    ("one", "nginx proxy_cache", 1.0), ("new", "Go net/http", 1.0), ("paced", "Go net/http", 1.0),
    ("trace", "aiohttp Application", 1.3),
)  # fmt: skip
"""Scenario, peer, and how many times the peer's figure ours is to be: at least, or at most where less is better."""


INTRODUCTION = """\
Written by `make bench`: every server on one core, the load on another, the same body for all. Medians of {rounds}
interleaved rounds of {seconds:g} s, and how far they lie from it. The sidecar has every guard and metric on. An answer
that was no token would have ended the run. Absolute figures move with the machine; the ratios of one run count. The
header that differs is a trace id; what differs otherwise goes the long way, as all does with SIDECAR_WARM=off.
"""


def page(
    results: Results, names: Sequence[str], rounds: int, seconds: float, beside: Mapping[str, Sequence[Finding]]
) -> str:
    """`beside` holds what was measured besides speed, by title."""
    parts = [
        "# Benchmarks\n",
        INTRODUCTION.format(rounds=rounds, seconds=seconds),
        f"{_machine()}\n",
        "![requests a second, 16 connections](benchmarks.svg)\n",
        _noise(results),
        _figures(results, names),
        _busy(results, names),
        "## Against the goals\n",
        _goals(results, names),
        *(f"## {title}\n\n{table(findings)}" for title, findings in beside.items()),
    ]
    return "\n".join(part for part in parts if part)


def _machine() -> str:
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = model[1] if model else platform.machine()
    return (
        f"The machine: {name}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}."
    )


def _noise(results: Results) -> str:
    limit = "C epoll loop (the limit)"
    noisy = [scenario.title for scenario in SCENARIOS if results.spread(scenario.key, limit) > NOISY]
    if not noisy:
        return ""
    return (
        f"**The machine was too noisy to tell** for: {', '.join(noisy)}. Rounds of the limit itself lie more than "
        "a third apart.\n"
    )


def _figures(results: Results, names: Sequence[str]) -> str:
    heads = [f"{scenario.title}, {scenario.unit}" for scenario in SCENARIOS]
    lines = [f"| server | {' | '.join(heads)} | RSS, MiB |", "|---|" + "---|" * (len(heads) + 1)]
    for name in names:
        cells = [_cell(results, scenario, name) for scenario in SCENARIOS]
        lines.append(f"| {name} | {' | '.join(cells)} | {results.resident_bytes[name] / (1 << 20):.0f} |")
    return "\n".join([*lines, ""])


def _cell(results: Results, scenario: Scenario, name: str) -> str:
    median, spread = results.median(scenario.key, name), results.spread(scenario.key, name)
    return f"{median:,.0f} ± {spread / 2:.0%}"


def _busy(results: Results, names: Sequence[str]) -> str:
    """With two cores the load may be the limit, of the cheapest servers above all."""
    shares = ", ".join(f"{name} {statistics.median(results.busy['new', name]):.0%}" for name in names)
    return (
        "A new connection each costs the load more than it costs most servers, so that its core is the limit there. "
        f"How busy the server's own core was: {shares}.\n"
    )


def _goals(results: Results, names: Sequence[str]) -> str:
    lines = ["| scenario | beside | goal | ratio | reached |", "|---|---|---|---|---|"]
    by_key = {scenario.key: scenario for scenario in SCENARIOS}
    for key, theirs, goal in GOALS:
        if theirs not in names:
            continue
        scenario, ratio = by_key[key], results.ratio(key, OURS, theirs)
        reached = ratio <= goal if scenario.less else ratio >= goal
        bound = "at most" if scenario.less else "at least"
        lines.append(f"| {scenario.title} | {theirs} | {bound} {goal} | {ratio:.2f} | {'yes' if reached else 'no'} |")
    return "\n".join([*lines, ""])


def picture(results: Results, names: Sequence[str]) -> str:
    """Bars of the first scenario, as SVG that reads on light and on dark."""
    most = max(results.median("many", name) for name in names)
    rows = []
    for at, name in enumerate(names):
        rate, y = results.median("many", name), 30 + at * 30
        colour = "#2563eb" if name.startswith(OURS) else "#94a3b8"
        rows.append(
            f'<text x="210" y="{y + 15}" text-anchor="end">{name}</text>'
            f'<rect x="220" y="{y}" width="{rate / most * 400:.0f}" height="20" fill="{colour}"/>'
            f'<text x="{226 + rate / most * 400:.0f}" y="{y + 15}">{rate:,.0f}</text>'
        )
    height = 40 + 30 * len(names)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 700 {height}" font-family="sans-serif" font-size="13" '
        f'fill="#64748b"><text x="220" y="18">requests a second, 16 connections</text>{"".join(rows)}</svg>\n'
    )
