"""Every expression of alerts and dashboard, evaluated by a real Prometheus that scraped real sidecars during faults."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from tests.conftest import short_folder
from tests.monitoring.dashboard import CHOSEN, VARIABLES, expressions, substituted
from tests.monitoring.fault_run import PROFILES, REDIS_BEHIND_S, FaultRun, run_faults
from tests.monitoring.payments import OLD_TOKEN_S
from tests.monitoring.prometheus import JOB, NAMESPACE, SCRAPE_S, shortened
from tests.monitoring.test_rules import ALERTS, RULES
from tests.servers import RedisServer
from tests.support.wall_clock import WallClock

EXPRESSIONS = list(expressions())
VALUES = {"namespace": [NAMESPACE], "job": [JOB], "profile": sorted(PROFILES)}

every_expression = pytest.mark.parametrize(("title", "expr"), EXPRESSIONS, ids=[title for title, _ in EXPRESSIONS])


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultRun]:
    clock = WallClock(tmp_path_factory.mktemp("clock"))
    clock.step(-REDIS_BEHIND_S - OLD_TOKEN_S)
    redis = RedisServer(short_folder(tmp_path_factory), environ=clock.environ).start()

    async def run() -> FaultRun:
        async with AsyncExitStack() as stack:
            return await run_faults(tmp_path_factory.mktemp("day"), redis, clock, stack)

    try:
        finished = asyncio.run(run())
    finally:
        redis.stop()
    yield finished
    finished.prometheus.stop()


def test_prometheus_evaluates_every_rule_without_an_error(day: FaultRun) -> None:
    rules = [rule for group in day.prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert [(rule["name"], rule["health"]) for rule in rules] == [(alert, "ok") for alert in ALERTS]


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_fires_only_during_faults(day: FaultRun, rule: dict[str, Any]) -> None:
    expr = shortened(rule["expr"])
    if "file_stalled" in expr and not day.file_system_hung:
        pytest.skip("mounting a FUSE file system is not allowed here")
    assert day.prometheus.during(expr, day.quiet) == []
    assert day.prometheus.during(expr, day.faults) != []


def test_no_label_is_renamed_where_the_operator_scrapes(day: FaultRun) -> None:
    series = day.prometheus.ask("series", **{"match[]": '{__name__=~"token_sidecar_.+"}'})
    assert series
    assert {label for labels in series for label in labels if label.startswith("exported_")} == set()


@every_expression
def test_an_expression_of_the_dashboard_finds_series(day: FaultRun, title: str, expr: str) -> None:
    assert day.prometheus.during(substituted(expr, SCRAPE_S), day.whole) != []


@every_expression
def test_an_expression_finds_only_the_chosen_series(day: FaultRun, title: str, expr: str) -> None:
    several = {"namespace": f"({NAMESPACE}|elsewhere)", "job": JOB, "profile": f"({'|'.join(PROFILES)})"}
    assert day.prometheus.during(substituted(expr, SCRAPE_S, several), day.whole) != []
    for name in ("namespace", "job"):
        elsewhere = substituted(expr, SCRAPE_S, CHOSEN | {name: "elsewhere"})
        assert day.prometheus.during(elsewhere, day.whole) == []


@pytest.mark.parametrize("name", CHOSEN)
def test_a_variable_offers_the_values_that_exist(day: FaultRun, name: str) -> None:
    found = re.fullmatch(r"label_values\((.*), (\w+)\)", substituted(VARIABLES[name]["definition"], SCRAPE_S))
    assert found is not None
    assert day.prometheus.label_values(found[2], found[1]) == VALUES[name]


def test_the_table_of_sidecars_in_trouble_names_every_trouble(day: FaultRun) -> None:
    expr = dict(EXPRESSIONS)["Sidecars in trouble, A"]
    found = {series["metric"]["trouble"] for series in day.prometheus.during(substituted(expr, SCRAPE_S), day.faults)}
    hung = {"file system"} if day.file_system_hung else set()
    assert found == {"no token", "suspect token", "credentials", "store", "seal key", *hung}
    assert day.prometheus.during(substituted(expr, SCRAPE_S), day.quiet) == []
