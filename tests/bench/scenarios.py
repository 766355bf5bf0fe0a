"""The measurements and goals as data: loads, the servers of each load, and goals."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from tests.bench.configurations import CONFIGURATIONS
from tests.bench.load import Load
from tests.bench.peers import HERE, PEER_TITLES

Figure = Literal["per_s", "p50_s", "p99_s"]
TITLES = {**PEER_TITLES, **{name: configuration.title for name, configuration in CONFIGURATIONS.items()}}
"""The title of every server, by its name."""


@dataclass(frozen=True)
class Scenario:
    """One load and its servers.

    The spread of the first server's rounds in `figure` shows how noisy the machine was.
    """

    key: str
    title: str
    load: Load
    servers: tuple[str, ...]
    figure: Figure = "per_s"


SCENARIOS = (
    Scenario("kept-16", "16 connections", Load(16), (
        "limit", "nginx", "varnish", "go", "aiohttp",
        "default", "redis", "caller-token", "audit-changes", "audit-all", "long-way",
    )),
    Scenario("unix", "16 connections over a unix socket", Load(16), ("go-unix", "user-ids")),
    Scenario(
        "traced", "16 connections, another traceparent and X-Request-Id each time",
        Load(16, headers=("User-Agent: python-requests/2.32.5",), script=str(HERE / "traces.lua")),
        ("limit", "nginx", "go", "traces"),
    ),
    Scenario("kept-64", "64 connections", Load(64), ("limit", "nginx", "go", "default", "caller-token")),
    Scenario("kept-500", "500 connections", Load(500), ("limit", "nginx", "go", "default", "caller-token")),
    Scenario(
        "new", "a new connection for each request, 16 at a time", Load(16, headers=("Connection: close",)),
        ("limit", "nginx", "go", "default"),
    ),
    Scenario("one", "1 connection", Load(1), ("limit", "nginx", "go", "default"), figure="p50_s"),
    Scenario("paced", "1 connection, 500 requests/s", Load(1, per_s=500), ("limit", "nginx", "go", "default"),
             figure="p99_s"),
)  # fmt: skip


@dataclass(frozen=True)
class Goal:
    """How many times the figure of `theirs` that of `ours` has to be: at least for rates, at most for durations."""

    scenario: str
    ours: str
    figure: Figure
    theirs: str
    bound: float

    @property
    def at_most(self) -> bool:
        return self.figure != "per_s"

    def is_reached(self, ratio: float) -> bool:
        return ratio <= self.bound if self.at_most else ratio >= self.bound


GOALS = (
    Goal("kept-16", "default", "per_s", "go", 1.3),
    Goal("kept-16", "redis", "per_s", "go", 1.3),
    Goal("kept-16", "caller-token", "per_s", "go", 1.2),
    Goal("kept-16", "audit-changes", "per_s", "go", 1.2),
    Goal("kept-16", "audit-all", "per_s", "go", 0.6),
    Goal("kept-16", "long-way", "per_s", "aiohttp", 0.8),
    Goal("kept-16", "default", "p99_s", "nginx", 1.2),
    Goal("kept-16", "redis", "p99_s", "nginx", 1.2),
    Goal("kept-16", "caller-token", "p99_s", "nginx", 1.2),
    Goal("kept-16", "audit-changes", "p99_s", "nginx", 1.2),
    # nginx is not measured over a unix socket.
    Goal("unix", "user-ids", "per_s", "go-unix", 1.2),
    Goal("unix", "user-ids", "p99_s", "go-unix", 1.2),
    Goal("traced", "traces", "per_s", "go", 1.2),
    Goal("traced", "traces", "p99_s", "nginx", 1.2),
    *(
        Goal(scenario, ours, figure, "go", 1.0)
        for scenario in ("kept-64", "kept-500")
        for ours in ("default", "caller-token")
        for figure in ("per_s", "p99_s")
    ),
    Goal("new", "default", "per_s", "go", 0.95),
    Goal("one", "default", "p50_s", "nginx", 1.0),
    Goal("paced", "default", "p99_s", "go", 1.0),
)


def selected(words: Sequence[str]) -> list[Scenario]:
    """Return the scenarios that `words` name; all of them if there is no word.

    A word is the key of a scenario or the name of a configuration. Where configurations are named, only these and the
    servers that their goals name are measured. Raises `ValueError` for any other word, and where nothing is left.
    """
    keys = [scenario.key for scenario in SCENARIOS]
    if unknown := [word for word in words if word not in keys and word not in CONFIGURATIONS]:
        raise ValueError(f"{', '.join(unknown)}: not one of {', '.join([*CONFIGURATIONS, *keys])}")
    names = {word for word in words if word in CONFIGURATIONS}
    chosen = [scenario for scenario in SCENARIOS if scenario.key in words or not set(words) & set(keys)]
    if names:
        chosen = [_reduced(scenario, names) for scenario in chosen if names & set(scenario.servers)]
    if not chosen:
        raise ValueError(f"{', '.join(words)}: no scenario has these configurations")
    return chosen


def _reduced(scenario: Scenario, names: set[str]) -> Scenario:
    beside = {goal.theirs for goal in GOALS if goal.scenario == scenario.key and goal.ours in names}
    return replace(scenario, servers=tuple(name for name in scenario.servers if name in names | beside))
