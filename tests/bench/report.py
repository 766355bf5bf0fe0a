"""The page: figures, ratios, the machine, and a picture."""

from __future__ import annotations

import os
import platform
import re
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.bench.configurations import CONFIGURATIONS
from tests.bench.findings import Finding, table
from tests.bench.measure import Results
from tests.bench.scenarios import GOALS, TITLES, Figure, Scenario

NOISY = 1 / 3
"""With a greater spread of the first server's rounds, the figures of a scenario depend mostly on the machine."""
FIGURES: dict[Figure, str] = {"per_s": "requests/s", "p50_s": "p50", "p99_s": "p99"}
INTRODUCTION = """\
Written by `make bench`: every server on one core, the load on another, the same body for all. Medians of {rounds}
interleaved rounds of {seconds:g} s; after ±, half the distance between the lowest and the highest round. Each sidecar
is a process of its own with every guard, metric and audit line on. An answer without a token would have ended the run.
Absolute figures change with the machine; the ratios of one run count. The load is wrk; over a unix socket it is
`tests/bench/load_generator.c`, for Go as for the sidecar, and the goal for p99 names Go, since nginx is not measured
there. What servers write to stdout goes to /dev/null. Core: how much of its core the server used; well below 100 %, the
load's core was the limit. RSS: memory after that load.
"""
NOTES = {
    "Gateway": """\
Beside nginx as a reverse proxy, each on the same core and in front of the same partner, which is on the load's core:
the sandbox, and an nginx with a constant response, which is never the limit. The compared nginx adds the token and
signs nothing. Each call through the gateway has its audit line. Medians of the rounds; the ratios are the medians of
those of the rounds. Other programs used the machine at the same time, which
adds to every duration.
"""
}
"""By title: what the introduction does not say."""


def page(
    results: Results,
    scenarios: Sequence[Scenario],
    rounds: int,
    seconds: float,
    beside: Mapping[str, Sequence[Finding]],
) -> str:
    """`beside` holds the results besides speed, by title."""
    parts = [
        "# Benchmarks\n",
        INTRODUCTION.format(rounds=rounds, seconds=seconds),
        f"{_machine()}\n",
        f"![requests a second, {scenarios[0].title}](benchmarks.svg)\n",
        speed(results, scenarios),
        *(section(title, findings) for title, findings in beside.items()),
    ]
    return "\n".join(parts)


def section(title: str, findings: Sequence[Finding]) -> str:
    """Return the results of one part besides speed."""
    return "\n".join([f"## {title}\n", *([NOTES[title]] if title in NOTES else []), table(findings)])


def with_section(page: str, title: str, findings: Sequence[Finding]) -> str:
    """Return the page with this part's section replaced, or added at the end."""
    new = section(title, findings)
    found = re.search(rf"^## {re.escape(title)}\n.*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    if found is None:
        return f"{page}\n{new}"
    return f"{page[: found.start()]}{new}{chr(10) if found.end() < len(page) else ''}{page[found.end() :]}"


def speed(results: Results, scenarios: Sequence[Scenario]) -> str:
    """Return whether the machine was too noisy, the goals, and the figures of each scenario."""
    figures = [f"## {scenario.title}\n\n{_figures(results, scenario)}" for scenario in scenarios]
    return "\n".join([*_noise(results, scenarios), f"## Against the goals\n\n{_goals(results, scenarios)}", *figures])


def _machine() -> str:
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    name = model[1] if model else platform.machine()
    return (
        f"The machine: {name}, {os.cpu_count()} cores, Linux {platform.release()}, Python {platform.python_version()}."
    )


def _noise(results: Results, scenarios: Sequence[Scenario]) -> list[str]:
    noisy = [
        scenario.title
        for scenario in scenarios
        if results.of(scenario.key, scenario.servers[0])
        and results.spread(scenario.key, scenario.servers[0], scenario.figure) > NOISY
    ]
    if not noisy:
        return []
    text = (
        f"**The machine was too noisy to tell** for: {'; '.join(noisy)}. Rounds of the first server there lie more "
        "than a third apart.\n"
    )
    return [text]


def _figures(results: Results, scenario: Scenario) -> str:
    lines = ["| server | requests/s | p50, µs | p99, µs | core | RSS, MiB |", "|---|---|---|---|---|---|"]
    for name in scenario.servers:
        if turns := results.of(scenario.key, name):
            cells = [
                _cell(results, scenario, name, "per_s", 1), _cell(results, scenario, name, "p50_s", 1e6),
                _cell(results, scenario, name, "p99_s", 1e6), f"{statistics.median(turn.busy for turn in turns):.0%}",
                f"{statistics.median(turn.resident_bytes for turn in turns) / (1 << 20):.0f}",
            ]  # fmt: skip
            lines.append(f"| {TITLES[name]} | {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def _cell(results: Results, scenario: Scenario, name: str, figure: Figure, unit: float) -> str:
    median, spread = results.median(scenario.key, name, figure), results.spread(scenario.key, name, figure)
    return f"{median * unit:,.0f} ± {spread / 2:.0%}"


def _goals(results: Results, scenarios: Sequence[Scenario]) -> str:
    """Return the rows of the goals that were measured."""
    lines = ["| scenario | server | figure | beside | goal | ratio | reached |", "|---|---|---|---|---|---|---|"]
    titles = {scenario.key: scenario.title for scenario in scenarios}
    for goal in GOALS:
        if results.of(goal.scenario, goal.ours) and results.of(goal.scenario, goal.theirs):
            ratio = results.ratio(goal.scenario, goal.ours, goal.theirs, goal.figure)
            bound = f"{'at most' if goal.at_most else 'at least'} {goal.bound:g}"
            cells = [
                titles[goal.scenario], TITLES[goal.ours], FIGURES[goal.figure], TITLES[goal.theirs], bound,
                f"{ratio:.2f}", "yes" if goal.is_reached(ratio) else "no",
            ]  # fmt: skip
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join([*lines, ""])


def picture(results: Results, scenario: Scenario) -> str:
    """Return bars of a scenario's rates, as SVG that is legible on a light and a dark background."""
    rates = {name: results.median(scenario.key, name, "per_s") for name in scenario.servers}
    most, rows = max(rates.values()), []
    for at, (name, rate) in enumerate(rates.items()):
        y = 30 + at * 30
        colour = "#2563eb" if name in CONFIGURATIONS else "#94a3b8"
        rows.append(
            f'<text x="290" y="{y + 15}" text-anchor="end">{TITLES[name]}</text>'
            f'<rect x="300" y="{y}" width="{rate / most * 400:.0f}" height="20" fill="{colour}"/>'
            f'<text x="{306 + rate / most * 400:.0f}" y="{y + 15}">{rate:,.0f}</text>'
        )
    height = 40 + 30 * len(rates)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 780 {height}" font-family="sans-serif" font-size="13" '
        f'fill="#64748b"><text x="300" y="18">requests a second, {scenario.title}</text>{"".join(rows)}</svg>\n'
    )
