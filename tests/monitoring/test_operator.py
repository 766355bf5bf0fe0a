"""The alerts also fire with the labels of the Prometheus operator, which renames labels of ours that it sets too."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.monitoring.exported import EXPORTED, exported_labels
from tests.monitoring.test_rules import CASES, PROMETHEUS

CLUSTER, NAMESPACE = "eu", "shop"


def as_scraped(series: str) -> str:
    """Return a series of the cases with the labels that a PodMonitor adds (without `externalLabels`).

    The `instance` of the cases names its pod. Where scraper and program set one label, the program's is renamed.
    """
    name, _, inner = series.rstrip("}").partition("{")
    found = dict(re.findall(r'(\w+)="([^"]*)"', inner))
    target = {
        "cluster": CLUSTER,
        "container": "token-sidecar",
        "endpoint": "admin",
        "instance": found["instance"],
        "job": found["job"],
        "namespace": NAMESPACE,
        "pod": f"{found['job']}-{found['instance']}",
        "service": found["job"],
    }
    exported = exported_labels(series)
    own = {f"exported_{label}" if label in target else label: found[label] for label in exported}
    labels = ", ".join(f'{label}="{value}"' for label, value in (target | own).items())
    return f"{name}{{{labels}}}"


def with_operator_labels(case: dict[str, Any]) -> dict[str, Any]:
    """Return the case with the operator's labels. Alerts of an app have its cluster and namespace, too."""
    series = [entry | {"series": as_scraped(entry["series"])} for entry in case.get("input_series", ())]
    checks = [
        check | {"exp_alerts": [_located(alert) for alert in check["exp_alerts"]]} for check in case["alert_rule_test"]
    ]
    return case | {"input_series": series, "alert_rule_test": checks}


def _located(alert: dict[str, Any]) -> dict[str, Any]:
    labels = alert["exp_labels"]
    place = {"cluster": CLUSTER, "namespace": NAMESPACE} if "job" in labels else {}
    return alert | {"exp_labels": labels | place}


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    file = tmp_path / "rules_test.yml"
    document = {
        "rule_files": [str(PROMETHEUS / "rules.yml")],
        "evaluation_interval": "15s",
        "tests": [with_operator_labels(case) for case in CASES],
    }
    file.write_text(yaml.safe_dump(document, width=1000))
    return file


def test_every_alert_fires_when_it_should_with_the_labels_of_the_operator(cases: Path) -> None:
    done = subprocess.run(["promtool", "test", "rules", cases], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_label_that_the_scraper_sets_too_is_renamed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(EXPORTED, "store_up", {"endpoint"})
    scraped = as_scraped('token_sidecar_store_up{job="pay", instance="a", endpoint="token"}')
    assert 'endpoint="admin"' in scraped
    assert 'exported_endpoint="token"' in scraped
