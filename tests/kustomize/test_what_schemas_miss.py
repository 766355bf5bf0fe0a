"""Faults that a schema accepts and a cluster, or the sidecar, would not."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from sidecar.config.schema import SETTINGS
from tests.kustomize.rendering import SECRETS, Manifest, containers_of, environment_of, pod_of, template_of, walk
from tests.kustomize.workloads import KINDS, POD

QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|Mi?|Gi?)?")
PROBES = ("startupProbe", "livenessProbe", "readinessProbe")
ENUMS = {
    ("initContainers", "restartPolicy"): {"Always"},
    ("spec", "restartPolicy"): {"Always", "OnFailure", "Never"},
    ("dnsPolicy",): {"ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"},
    ("seccompProfile", "type"): {"RuntimeDefault", "Localhost"},
    ("strategy", "type"): {"Recreate", "RollingUpdate"},
    ("drop",): {"ALL"},
    ("emptyDir", "medium"): {"", "Memory"},
    ("policyTypes",): {"Ingress", "Egress"},
    ("ports", "protocol"): {"TCP", "UDP", "SCTP"},
}
"""The allowed values by the names of their path; a schema requires only a text."""


@pytest.fixture(scope="session")
def pods(everything: list[Manifest]) -> list[Manifest]:
    return [pod_of(manifest) for manifest in everything if manifest["kind"] in KINDS]


@pytest.fixture(scope="session")
def containers(pods: list[Manifest]) -> list[Manifest]:
    return [container for pod in pods for container in containers_of(pod)]


@pytest.fixture(scope="session")
def ours(containers: list[Manifest]) -> list[Manifest]:
    """The manifests without those of the tests' own workloads."""
    made_up = {container["image"] for container in containers_of(POD)}
    return [container for container in containers if container["image"] not in made_up]


def test_a_probe_uses_a_port_of_its_own_container(containers: list[Manifest]) -> None:
    checked = 0
    for container in containers:
        for probe in (container[name] for name in PROBES if name in container):
            (handler,) = (probe[how] for how in ("httpGet", "tcpSocket") if how in probe)
            assert handler["port"] in {port["name"] for port in container["ports"]}
            assert "host" not in handler  # Pod Security refuses it since Kubernetes 1.34
            checked += 1
    assert checked > len(PROBES)


def test_names_are_unique_where_a_cluster_requires_it(pods: list[Manifest]) -> None:
    for pod in pods:
        for things in (containers_of(pod), pod.get("volumes", []), *(c.get("env", []) for c in containers_of(pod))):
            names = [thing["name"] for thing in things]
            assert len(names) == len(set(names))
        for container in containers_of(pod):
            paths = [mount["mountPath"] for mount in container.get("volumeMounts", [])]
            assert len(paths) == len(set(paths))


def test_every_mount_has_its_volume_and_every_volume_a_mount(pods: list[Manifest]) -> None:
    for pod in pods:
        mounted = {mount["name"] for container in containers_of(pod) for mount in container.get("volumeMounts", [])}
        assert mounted == {volume["name"] for volume in pod.get("volumes", [])}


def test_every_mounted_secret_is_one_of_the_example(pods: list[Manifest]) -> None:
    mounted = [volume["secret"] for pod in pods for volume in pod.get("volumes", []) if "secret" in volume]
    assert {secret["secretName"] for secret in mounted} == set(SECRETS)


def test_mounted_secrets_can_be_read_by_any_user_of_the_container(pods: list[Manifest], ours: list[Manifest]) -> None:
    """Root owns the files and our manifests set no fsGroup, so only the bits for others count."""
    for pod in pods:
        secrets = [volume["secret"] for volume in pod.get("volumes", []) if "secret" in volume]
        assert all(secret["defaultMode"] == 0o444 for secret in secrets)
    mounts = [mount for container in ours for mount in container.get("volumeMounts", [])]
    assert not any("subPath" in mount for mount in mounts)  # a rotated Secret would never arrive


def quantities(everything: list[Manifest]) -> Iterator[str]:
    for manifest in everything:
        for path, value in walk(manifest):
            if "resources" in path or path[-1] == "sizeLimit":
                yield str(value)


def test_amounts_are_quantities(everything: list[Manifest]) -> None:
    found = list(quantities(everything))
    assert len(found) > 10
    assert [quantity for quantity in found if not QUANTITY.fullmatch(quantity)] == []


def test_memory_is_bounded_and_cpu_is_not(ours: list[Manifest]) -> None:
    """Throttling would make every caller wait."""
    for container in ours:
        assert set(container["resources"]["requests"]) == {"cpu", "memory"}
        assert set(container["resources"]["limits"]) == {"memory"}


@pytest.mark.parametrize("ending", ENUMS, ids=".".join)
def test_a_cluster_accepts_the_value_of(ending: tuple[str, ...], everything: list[Manifest]) -> None:
    found = {value for manifest in everything for path, value in walk(manifest) if path[-len(ending) :] == ending}
    assert found
    assert found <= ENUMS[ending]


def test_a_container_of_ours_meets_the_restricted_profile(ours: list[Manifest]) -> None:
    for container in ours:
        security = container["securityContext"]
        assert security["runAsNonRoot"] is True
        assert security.get("runAsUser", 1) > 0  # on OpenShift the cluster sets it
        assert security["allowPrivilegeEscalation"] is False
        assert security["readOnlyRootFilesystem"] is True
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_every_setting_exists(containers: list[Manifest]) -> None:
    named = {name for container in containers for name in environment_of(container) if name.startswith("SIDECAR_")}
    assert len(named) > 5
    assert named <= {setting.name for setting in SETTINGS}


def test_no_secret_comes_through_the_environment(containers: list[Manifest]) -> None:
    for container in containers:
        assert "envFrom" not in container
        assert all(set(entry) == {"name", "value"} for entry in container.get("env", []))


def test_a_workload_selects_its_own_pods(everything: list[Manifest]) -> None:
    selecting = [manifest for manifest in everything if "selector" in manifest["spec"] and manifest["kind"] in KINDS]
    assert selecting
    for manifest in selecting:
        labels = template_of(manifest)["metadata"]["labels"]
        assert manifest["spec"]["selector"]["matchLabels"].items() <= labels.items()


def test_a_service_uses_a_named_port_of_pods_of_its_example(everything: list[Manifest]) -> None:
    services = [manifest["spec"] for manifest in everything if manifest["kind"] == "Service"]
    assert services
    templates = [template_of(manifest) for manifest in everything if manifest["kind"] in KINDS]
    for service in services:
        (pod,) = (t["spec"] for t in templates if service["selector"].items() <= t["metadata"]["labels"].items())
        named = {port["name"] for container in containers_of(pod) for port in container.get("ports", [])}
        assert {port["targetPort"] for port in service["ports"]} <= named
