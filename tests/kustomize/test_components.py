"""A component adds the sidecar to an app, and changes nothing else of it."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml

from tests.kustomize.conftest import Made
from tests.kustomize.rendering import (
    KUSTOMIZE,
    Manifest,
    containers_of,
    environment_of,
    pod_of,
    render,
    sidecar_of,
    template_of,
    try_rendering,
    write_overlay,
)
from tests.kustomize.workloads import CASES, KINDS, LONG_RUNNING, POD, VARIANTS, workload

NAME = "token-sidecar"


def without_the_sidecar(manifest: Manifest) -> Manifest:
    """Remove exactly what a component may add: one container, its volumes, and one label, which a Pod has itself."""
    stripped = copy.deepcopy(manifest)
    pod = pod_of(stripped)
    for group in ("initContainers", "containers"):
        pod[group] = [container for container in pod[group] if container["name"] != NAME]
    pod["volumes"] = [volume for volume in pod["volumes"] if not volume["name"].startswith(f"{NAME}-")]
    if stripped["kind"] != "Pod":
        del template_of(stripped)["metadata"]["labels"][NAME]
    return stripped


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_nothing_else_of_an_app_is_changed(variant: str, kind: str, made: Made) -> None:
    assert without_the_sidecar(made(variant, kind)) == workload(kind)


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_the_pods_are_labelled_for_the_monitor(variant: str, kind: str, made: Made) -> None:
    assert template_of(made(variant, kind))["metadata"]["labels"][NAME] == "true"


@pytest.mark.parametrize(("variant", "kind"), [case for case in CASES if "classic" not in case[0]])
def test_a_native_sidecar_starts_before_everything_of_the_app(variant: str, kind: str, made: Made) -> None:
    first, *rest = pod_of(made(variant, kind))["initContainers"]
    assert (first["name"], first["restartPolicy"]) == (NAME, "Always")
    assert rest == POD["initContainers"]


@pytest.mark.parametrize(("variant", "kind"), [case for case in CASES if "classic" in case[0]])
def test_a_classic_sidecar_is_the_last_plain_container_and_outlives_the_app(
    variant: str, kind: str, made: Made
) -> None:
    pod = pod_of(made(variant, kind))
    last = pod["containers"][-1]
    assert last["name"] == NAME
    assert "restartPolicy" not in last
    assert 20 <= float(environment_of(last)["SIDECAR_DRAIN_S"]) < 30 - 2  # the default grace period less that to exit


@pytest.mark.parametrize("kind", LONG_RUNNING)
def test_a_classic_sidecar_differs_from_the_native_one_only_in_drain_and_restarts(kind: str, made: Made) -> None:
    native, classic = sidecar_of(made("tcp", kind)), sidecar_of(made("classic", kind))
    assert environment_of(native) | {"SIDECAR_DRAIN_S": "25"} == environment_of(classic)
    assert {**native, "env": []} == {**classic, "env": [], "restartPolicy": "Always"}


@pytest.mark.parametrize("kind", ["Job", "CronJob"])
def test_a_job_that_would_never_complete_is_refused_with_a_message(kind: str, tmp_path: Path) -> None:
    refused = try_rendering(write_overlay(tmp_path, ["sidecar-classic"], [workload(kind)]))
    assert refused.returncode != 0
    assert "a-Job-never-completes-beside-a-classic-sidecar" in refused.stderr


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_workload_without_the_label_is_left_alone(variant: str, tmp_path: Path) -> None:
    plain = [workload(kind, labels={"token-sidecar": "false"}) for kind in KINDS]
    rendered = render(write_overlay(tmp_path, VARIANTS[variant], plain))
    assert sorted(rendered, key=lambda manifest: KINDS.index(manifest["kind"])) == plain


@pytest.mark.parametrize("variant", VARIANTS)
def test_an_app_without_volumes_or_init_containers_gets_the_sidecar_too(variant: str, tmp_path: Path) -> None:
    bare = workload("Deployment", pod={"containers": [{"name": "app", "image": "app:1"}]})
    (manifest,) = render(write_overlay(tmp_path, VARIANTS[variant], [bare]))
    assert [container["name"] for container in containers_of(pod_of(manifest))].count(NAME) == 1
    assert len(pod_of(manifest)["volumes"]) == len(sidecar_of(manifest)["volumeMounts"])


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_secrets_are_mounted_in_the_sidecar_only(variant: str, kind: str, made: Made) -> None:
    pod = pod_of(made(variant, kind))
    secret = {volume["name"] for volume in pod["volumes"] if "secret" in volume}
    for container in containers_of(pod):
        mounted = {mount["name"] for mount in container.get("volumeMounts", [])}
        assert mounted & secret == (secret if container["name"] == NAME else set())
    assert len(secret) == 2


@pytest.mark.parametrize("component", ["sidecar", "sidecar-unix"])
def test_a_cron_job_gets_what_the_others_get(component: str) -> None:
    folder = KUSTOMIZE / "components" / component
    pod, cron_job = (yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in ("pod", "cronjob"))
    assert cron_job["kind"] == "CronJob"
    assert cron_job["spec"] == {"jobTemplate": {"spec": pod["spec"]}}


@pytest.mark.parametrize(
    ("of_a_template", "of_a_pod"),
    [
        ("sidecar/pod", "sidecar/bare-pod"),
        ("sidecar-unix/pod", "sidecar-unix/bare-pod"),
        ("sidecar-classic/drain", "sidecar-classic/bare-pod-drain"),
    ],
)
def test_a_pod_of_its_own_gets_what_the_others_get(of_a_template: str, of_a_pod: str) -> None:
    folder = KUSTOMIZE / "components"
    pod, bare = (yaml.safe_load((folder / f"{name}.yaml").read_text()) for name in (of_a_template, of_a_pod))
    assert bare["kind"] == "Pod"
    assert bare["spec"] == pod["spec"]["template"]["spec"]
    assert bare["metadata"].get("labels") == pod["spec"]["template"].get("metadata", {}).get("labels")
