"""The alert rules name only what exists, and each has cases. test_deploy_tools.py runs those with promtool."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.exported import EXPORTED, SCRAPER_LABELS, exported_labels, labels_in, labels_of, metrics_in

PROMETHEUS = Path(__file__).parents[2] / "deploy/prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule["alert"] for rule in RULES]
CASES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]


def fires(alert: str) -> list[bool]:
    """For each test case of an alert, whether it expects the alert."""
    checks = [check for case in CASES for check in case["alert_rule_test"]]
    return [bool(check["exp_alerts"]) for check in checks if check["alertname"] == alert]


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_has_a_summary_a_consequence_an_action_and_a_severity(rule: dict[str, Any]) -> None:
    assert set(rule["annotations"]) == {"summary", "consequence", "action", "runbook"}
    assert all(rule["annotations"].values())
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert "for" in rule


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_uses_metrics_that_exist_and_labels_they_have(rule: dict[str, Any]) -> None:
    used = metrics_in(rule["expr"])
    assert used
    assert used <= set(EXPORTED)
    assert metrics_in(" ".join(rule["annotations"].values())) <= set(EXPORTED)
    assert labels_in(rule["expr"]) <= labels_of(used)


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_is_of_one_profile_where_its_metrics_have_one(rule: dict[str, Any]) -> None:
    """A sum over profiles hides the trouble of a partner that is called less than the others."""
    if not all("profile" in EXPORTED[metric] for metric in metrics_in(rule["expr"])):
        return
    kept = re.search(r"\bby \(([^)]*)\)", rule["expr"])
    assert kept is not None
    assert "profile" in re.split(r",\s*", kept[1])
    assert "$labels.profile" in rule["annotations"]["summary"]


@pytest.mark.parametrize("alert", [rule["alert"] for rule in RULES if "profile" in rule["annotations"]["summary"]])
def test_an_alert_of_a_profile_has_a_case_in_which_another_profile_is_well(alert: str) -> None:
    wells = {
        check["alertname"]
        for case in CASES
        for check in case["alert_rule_test"]
        if any('profile="ledger"' in entry["series"] for entry in case.get("input_series", ()))
        and [fired["exp_labels"]["profile"] for fired in check["exp_alerts"]] == ["cards"]
    }
    assert alert in wells


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_uses_only_labels_it_keeps(rule: dict[str, Any]) -> None:
    used = set(re.findall(r"\$labels\.([a-z_]+)", " ".join(rule["annotations"].values())))
    assert used <= labels_in(rule["expr"])


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_case_that_fires_and_one_that_stays_silent(alert: str) -> None:
    assert set(fires(alert)) == {True, False}


def test_cases_are_of_alerts_and_series_that_exist() -> None:
    assert {check["alertname"] for case in CASES for check in case["alert_rule_test"]} == set(ALERTS)
    for series in (entry["series"] for case in CASES for entry in case.get("input_series", ())):
        exported = exported_labels(series)
        assert exported <= labels_in(series) <= exported | SCRAPER_LABELS


def test_alert_names_are_unique_and_prefixed() -> None:
    assert len(ALERTS) == len(set(ALERTS))
    assert all(alert.startswith("TokenSidecar") for alert in ALERTS)
