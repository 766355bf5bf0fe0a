"""The alert rules: true where no promtool is, too. That they fire and stay silent is `test_deploy_tools.py`'s."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

PROMETHEUS = Path(__file__).parents[2] / "deploy/prometheus"
RULES: list[dict[str, Any]] = [
    rule for group in yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = [rule["alert"] for rule in RULES]
CASES: list[dict[str, Any]] = yaml.safe_load((PROMETHEUS / "rules_test.yml").read_text())["tests"]

METRICS: dict[str, set[str]] = {
    "requests_total": {"profile", "endpoint", "code"},
    "request_duration_seconds": {"endpoint"},
    "partner_requests_total": {"profile", "operation", "outcome"},
    "partner_request_duration_seconds": {"profile", "operation"},
    "flights_total": {"profile", "reason", "result"},
    "waiters": {"profile"},
    "token_suspect": {"profile"},
    "token_expiry_timestamp_seconds": {"profile"},
    "token_issued_timestamp_seconds": {"profile"},
    "token_last_success_timestamp_seconds": {"profile"},
    "token_lifetime_seconds": {"profile", "kind"},
    "cooldown_until_timestamp_seconds": {"profile"},
    "call_budget_remaining": {"profile"},
    "rejected_reports_total": {"profile", "verdict"},
    "lease_lost_total": {"profile"},
    "store_errors_total": {"operation"},
    "store_up": set(),
    "credentials_valid": {"profile"},
    "build_info": {"version"},
}
"""The public metrics and their labels, without the prefix. Literal on purpose: it is the contract, not the code."""
TARGET_LABELS = {"job", "namespace", "instance"}
"""What Prometheus adds to every series."""


def metrics_in(text: str) -> set[str]:
    return set(re.findall(r"\btoken_sidecar_([a-z_]+)", text))


def labels_in(expr: str) -> set[str]:
    grouped = re.findall(r"\b(?:by|on|without|ignoring)\s*\(([^)]*)\)", expr)
    matched = re.findall(r"([a-z_]+)\s*(?:=~|!~|!=|=)\s*\"", expr)
    return {label.strip() for group in grouped for label in group.split(",")} | set(matched)


def fires(alert: str) -> list[bool]:
    """For each test case of an alert, whether it expects the alert."""
    checks = [check for case in CASES for check in case["alert_rule_test"]]
    return [bool(check["exp_alerts"]) for check in checks if check["alertname"] == alert]


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_says_what_happened_what_follows_and_what_to_do(rule: dict[str, Any]) -> None:
    assert set(rule["annotations"]) == {"summary", "consequence", "action"}
    assert all(rule["annotations"].values())
    assert rule["labels"]["severity"] in {"warning", "critical"}
    assert "for" in rule


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_uses_metrics_that_exist_and_labels_they_have(rule: dict[str, Any]) -> None:
    used = metrics_in(rule["expr"])
    assert used
    assert used <= set(METRICS)
    assert metrics_in(" ".join(rule["annotations"].values())) <= set(METRICS)
    assert labels_in(rule["expr"]) <= TARGET_LABELS.union(*(METRICS[name] for name in used))


@pytest.mark.parametrize("rule", RULES, ids=ALERTS)
def test_an_alert_speaks_only_of_labels_it_keeps(rule: dict[str, Any]) -> None:
    spoken = set(re.findall(r"\$labels\.([a-z_]+)", " ".join(rule["annotations"].values())))
    assert spoken <= labels_in(rule["expr"])


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_has_a_case_that_fires_and_one_that_stays_silent(alert: str) -> None:
    assert set(fires(alert)) == {True, False}


def test_cases_are_of_alerts_and_series_that_exist() -> None:
    assert {check["alertname"] for case in CASES for check in case["alert_rule_test"]} == set(ALERTS)
    for series in (entry["series"] for case in CASES for entry in case.get("input_series", ())):
        (metric,) = metrics_in(series)
        assert labels_in(series) <= METRICS[metric] | TARGET_LABELS
        assert labels_in(series) >= METRICS[metric]


def test_alert_names_are_unique_and_prefixed() -> None:
    assert len(ALERTS) == len(set(ALERTS))
    assert all(alert.startswith("TokenSidecar") for alert in ALERTS)
