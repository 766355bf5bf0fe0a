"""The kinds of workloads that the components patch, and the errors for those that they refuse."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.kustomize.conftest import Made
from tests.kustomize.rendering import (
    KUSTOMIZE,
    Manifest,
    environment_of,
    pod_of,
    render,
    sidecar_of,
    try_rendering,
    write_overlay,
)
from tests.kustomize.test_readme_steps import block_with
from tests.kustomize.workloads import CANARY, KINDS, LONG_RUNNING, VARIANTS, workload

COMPONENTS = sorted({name for variant in VARIANTS.values() for name in variant})
SERVICE: Manifest = {
    "apiVersion": "serving.knative.dev/v1",
    "kind": "Service",
    "metadata": {"name": "billing", "labels": {"token-sidecar": "true"}},
    "spec": {"template": {"spec": {"containers": [{"image": "billing:3"}]}}},
}


def patches(component: str) -> list[dict[str, Any]]:
    document = yaml.safe_load((KUSTOMIZE / "components" / component / "kustomization.yaml").read_text())
    found: list[dict[str, Any]] = document["patches"]
    return found


@pytest.mark.parametrize("component", COMPONENTS)
def test_every_component_patches_or_refuses_every_kind(component: str) -> None:
    named = {kind for patch in patches(component) for kind in patch["target"].get("kind", "").split("|") if kind}
    assert set(KINDS) <= named


def test_the_component_and_the_readme_name_the_kinds_that_are_patched() -> None:
    head = (KUSTOMIZE / "components/sidecar/kustomization.yaml").read_text().partition("apiVersion")[0]
    (row,) = re.findall(r"^\| patched \|(.*)\|$", (KUSTOMIZE.parent / "README.md").read_text(), re.MULTILINE)
    assert [kind for kind in KINDS if not re.search(rf"\b{kind}\b", head)] == []
    assert sorted(re.findall(r"`(\w+)`", row)) == sorted(KINDS)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_rollout_keeps_its_kind_strategy_and_name_beside_a_deployment(variant: str, tmp_path: Path) -> None:
    """During a move to Argo both exist, with the same name."""
    both = [workload("Rollout"), workload("Deployment")]
    for each in both:
        each["metadata"]["name"] = "billing"
    rendered = {manifest["kind"]: manifest for manifest in render(write_overlay(tmp_path, VARIANTS[variant], both))}
    rollout, deployment = rendered["Rollout"], rendered["Deployment"]
    assert rollout["apiVersion"] == "argoproj.io/v1alpha1"
    assert rollout["metadata"] == deployment["metadata"] == both[0]["metadata"]
    assert rollout["spec"]["strategy"] == CANARY
    assert rollout["spec"]["template"] == deployment["spec"]["template"]


def test_a_rollout_that_names_a_deployment_is_refused_and_the_deployment_is_patched(tmp_path: Path) -> None:
    rollout = workload("Rollout")
    del rollout["spec"]["template"]
    rollout["spec"]["workloadRef"] = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "billing-deployment"}
    refused = try_rendering(write_overlay(tmp_path, ["sidecar"], [rollout, workload("Deployment")]))
    assert refused.returncode != 0
    assert "/spec/template/spec/containers" in refused.stderr
    del rollout["metadata"]["labels"]
    rendered = {m["kind"]: m for m in render(write_overlay(tmp_path, ["sidecar"], [rollout, workload("Deployment")]))}
    assert rendered["Rollout"] == rollout | {"metadata": {"name": "billing-rollout"}}
    assert sidecar_of(rendered["Deployment"])


@pytest.mark.parametrize(
    ("version", "kind", "message"),
    [
        ("serving.knative.dev/v1", "Service", "Knative-is-not-patched"),
        ("serving.knative.dev/v1", "Configuration", "Knative-is-not-patched"),
        ("apps.openshift.io/v1", "DeploymentConfig", "a-DeploymentConfig-is-not-patched"),
    ],
)
@pytest.mark.parametrize("component", COMPONENTS)
def test_a_kind_that_cannot_be_patched_is_refused_with_a_message(
    component: str, version: str, kind: str, message: str, tmp_path: Path
) -> None:
    refused = try_rendering(write_overlay(tmp_path, [component], [SERVICE | {"apiVersion": version, "kind": kind}]))
    assert refused.returncode != 0
    assert message in refused.stderr


def test_a_service_of_kubernetes_with_the_label_is_left_alone(tmp_path: Path) -> None:
    service = SERVICE | {"apiVersion": "v1", "spec": {"ports": [{"port": 80}]}}
    assert render(write_overlay(tmp_path, ["sidecar"], [service])) == (service,)


@pytest.mark.parametrize("kind", LONG_RUNNING)
def test_an_image_is_renamed_in_every_kind(kind: str, tmp_path: Path) -> None:
    folder = write_overlay(tmp_path, ["sidecar"], [workload(kind)])
    document = yaml.safe_load((folder / "kustomization.yaml").read_text())
    document["images"] = [{"name": "pay1st-token-sidecar", "newName": "registry.example.internal/sidecar"}]
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(document))
    (manifest,) = render(folder)
    assert sidecar_of(manifest)["image"].startswith("registry.example.internal/sidecar:")


def test_the_container_for_knative_is_the_classic_one_without_fields_that_knative_refuses(made: Made) -> None:
    documented = yaml.safe_load(block_with("SIDECAR_ADMIN_LISTEN, value"))
    (container,) = documented["containers"]
    pod = pod_of(made("classic", "Deployment"))
    classic = sidecar_of(made("classic", "Deployment"))
    security = {name: value for name, value in classic["securityContext"].items() if not name.startswith("runAs")}
    without = ("ports", "startupProbe", "livenessProbe", "readinessProbe")
    expected = {name: value for name, value in classic.items() if name not in without}
    assert environment_of(container) == environment_of(classic) | {"SIDECAR_ADMIN_LISTEN": "127.0.0.1:9181"}
    security["runAsNonRoot"] = True
    assert container == expected | {"env": container["env"], "securityContext": security}
    assert documented["volumes"] == [volume for volume in pod["volumes"] if volume["name"].startswith("token-sidecar-")]
