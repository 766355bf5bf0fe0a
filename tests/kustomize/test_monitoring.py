"""The manifests for the Prometheus operator: it finds the sidecars, and has the alerts."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.kustomize.prometheus_rule import RULE, SOURCE, rule
from tests.kustomize.rendering import Manifest, render, sidecar_of, template_of, write_overlay
from tests.kustomize.workloads import workload


def of_kind(manifests: tuple[Manifest, ...], kind: str) -> Manifest:
    (found,) = (manifest for manifest in manifests if manifest["kind"] == kind)
    return found


@pytest.fixture(scope="module")
def monitored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Manifest, ...]:
    folder = tmp_path_factory.mktemp("monitored")
    return render(write_overlay(folder, ["sidecar", "monitoring"], [workload("Deployment")]))


def test_the_rule_of_the_operator_is_made_from_the_tested_rules() -> None:
    """`python -m tests.kustomize.prometheus_rule` writes the file."""
    assert RULE.read_text(encoding="utf-8") == rule()


def test_the_cluster_gets_the_same_groups(monitored: tuple[Manifest, ...]) -> None:
    assert of_kind(monitored, "PrometheusRule")["spec"] == yaml.safe_load(SOURCE.read_text(encoding="utf-8"))


def test_the_monitor_finds_the_pods_and_the_admin_port(monitored: tuple[Manifest, ...]) -> None:
    monitor, deployment = of_kind(monitored, "PodMonitor")["spec"], of_kind(monitored, "Deployment")
    labels = template_of(deployment)["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["jobLabel"] in labels
    (endpoint,) = monitor["podMetricsEndpoints"]
    (port,) = sidecar_of(deployment)["ports"]
    assert (endpoint["port"], endpoint["path"]) == (port["name"], "/metrics")


def test_the_monitor_keeps_the_sidecars_port_and_no_other_of_that_name(monitored: tuple[Manifest, ...]) -> None:
    (endpoint,) = of_kind(monitored, "PodMonitor")["spec"]["podMetricsEndpoints"]
    (keep,) = endpoint["relabelings"]
    assert (keep["action"], keep["sourceLabels"]) == ("keep", ["__meta_kubernetes_pod_container_name"])
    assert keep["regex"] == sidecar_of(of_kind(monitored, "Deployment"))["name"]


def test_the_monitoring_component_adds_nothing_else(tmp_path: Path) -> None:
    assert [m["kind"] for m in render(write_overlay(tmp_path, ["monitoring"], []))] == ["PodMonitor", "PrometheusRule"]
