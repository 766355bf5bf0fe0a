"""Every expression of alerts and dashboard, put to a real Prometheus that watched real sidecars have a bad day."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conftest import short_folder
from tests.monitoring.dashboard import CHOSEN, VARIABLES, expressions, substituted
from tests.monitoring.faulty_day import PROFILES, Day, live_through
from tests.monitoring.prometheus import JOB, NAMESPACE, SCRAPE_S, shortened
from tests.monitoring.test_rules import ALERTS, RULES
from tests.servers import RedisServer
from tests.support.wall_clock import WallClock

REDIS_BEHIND_S = 1200
EXPRESSIONS = list(expressions())
VALUES = {"namespace": [NAMESPACE], "job": [JOB], "profile": sorted(PROFILES)}

every_expression = pytest.mark.parametrize(("title", "expr"), EXPRESSIONS, ids=[title for title, _ in EXPRESSIONS])


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    clock = WallClock(tmp_path_factory.mktemp("clock"))
    # The sidecars' instants are of their machine's clock, which Prometheus has too: no alert may follow Redis's.
    clock.step(-REDIS_BEHIND_S)
    redis = RedisServer(short_folder(tmp_path_factory), environ=clock.environ).start()

    async def live() -> Day:
        async with AsyncExitStack() as stack:
            return await live_through(tmp_path_factory.mktemp("day"), redis, stack)

    try:
        lived = asyncio.run(live())
    finally:
        redis.stop()
    yield lived
    lived.prometheus.stop()


def test_prometheus_evaluates_every_rule_without_a_complaint(day: Day) -> None:
    rules = [rule for group in day.prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert [(rule["name"], rule["health"]) for rule in rules] == [(alert, "ok") for alert in ALERTS]


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_is_silent_in_the_quiet_and_speaks_when_things_fail(day: Day, rule: dict[str, Any]) -> None:
    expr = shortened(rule["expr"])
    if "file_stalled" in expr and not day.file_system_hung:
        pytest.skip("mounting a FUSE file system is not allowed here")
    assert day.prometheus.during(expr, day.quiet) == []
    assert day.prometheus.during(expr, day.faults) != []


def test_no_label_is_renamed_where_the_operator_scrapes(day: Day) -> None:
    series = day.prometheus.ask("series", **{"match[]": '{__name__=~"token_sidecar_.+"}'})
    assert series
    assert {label for labels in series for label in labels if label.startswith("exported_")} == set()


@every_expression
def test_an_expression_of_the_dashboard_finds_series(day: Day, title: str, expr: str) -> None:
    assert day.prometheus.during(substituted(expr, SCRAPE_S), day.whole) != []


@every_expression
def test_an_expression_finds_what_is_chosen_and_nothing_else(day: Day, title: str, expr: str) -> None:
    several = {"namespace": f"({NAMESPACE}|elsewhere)", "job": JOB, "profile": f"({'|'.join(PROFILES)})"}
    assert day.prometheus.during(substituted(expr, SCRAPE_S, several), day.whole) != []
    for name in ("namespace", "job"):
        elsewhere = substituted(expr, SCRAPE_S, CHOSEN | {name: "elsewhere"})
        assert day.prometheus.during(elsewhere, day.whole) == []


@pytest.mark.parametrize("name", CHOSEN)
def test_a_variable_offers_what_there_is(day: Day, name: str) -> None:
    asked = re.fullmatch(r"label_values\((.*), (\w+)\)", substituted(VARIABLES[name]["definition"], SCRAPE_S))
    assert asked is not None
    assert day.prometheus.label_values(asked[2], asked[1]) == VALUES[name]


def test_the_table_of_sidecars_in_trouble_names_each_trouble_there_was(day: Day) -> None:
    expr = dict(EXPRESSIONS)["Sidecars in trouble, A"]
    found = {series["metric"]["trouble"] for series in day.prometheus.during(substituted(expr, SCRAPE_S), day.faults)}
    hung = {"file system"} if day.file_system_hung else set()
    assert found == {"no token", "suspect token", "credentials", "store", "seal key", *hung}
    assert day.prometheus.during(substituted(expr, SCRAPE_S), day.quiet) == []
