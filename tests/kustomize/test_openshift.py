"""The rules of the SCC restricted-v2 of OpenShift, and that the sidecar for OpenShift obeys them."""

from __future__ import annotations

import copy

import pytest

from tests.kustomize.conftest import Made
from tests.kustomize.rendering import EXAMPLES, Manifest, containers_of, pod_of, render, sidecar_of, walk
from tests.kustomize.workloads import KINDS

VARIANTS = ["openshift", "openshift-unix"]
VOLUMES = {
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "image", "persistentVolumeClaim", "projected", "secret",
}  # fmt: skip
OF_THE_NAMESPACE = {"runAsUser", "fsGroup", "seLinuxOptions"}
"""The namespace has its own ranges for these, and a fixed value is outside them."""


def refused(pod: Manifest, containers: list[Manifest]) -> list[str]:
    """Return the reasons why restricted-v2 would not admit these containers of the pod."""
    problems = [f"{name} of the pod" for name in OF_THE_NAMESPACE & set(pod.get("securityContext", {}))]
    problems += [name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)]
    problems += [f"volume {volume}" for volume in pod.get("volumes", []) if not VOLUMES & set(volume)]
    for container in containers:
        security = container.get("securityContext", {})
        problems += [f"{name} of a container" for name in OF_THE_NAMESPACE & set(security)]
        problems += [name for name in ("privileged", "allowPrivilegeEscalation") if security.get(name)]
        if set(security.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
            problems.append("a capability")
        if security.get("seccompProfile", {"type": "RuntimeDefault"}) != {"type": "RuntimeDefault"}:
            problems.append("a seccomp profile")
        problems += ["a port of the host" for port in container.get("ports", []) if "hostPort" in port]
    return problems


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", VARIANTS)
def test_the_sidecar_is_admitted_with_any_user_id_of_the_namespace(variant: str, kind: str, made: Made) -> None:
    pod = {name: value for name, value in pod_of(made(variant, kind)).items() if name != "securityContext"}
    sidecar = sidecar_of(made(variant, kind))
    assert refused(pod, [sidecar]) == []
    assert "runAsGroup" not in sidecar["securityContext"]
    assert sidecar["securityContext"]["runAsNonRoot"] is True


def test_the_example_is_admitted_as_a_whole() -> None:
    (deployment,) = render(EXAMPLES["openshift"])
    pod = pod_of(deployment)
    assert refused(pod, containers_of(pod)) == []
    assert not {"runAsUser", "runAsGroup", "fsGroup"} & {path[-1] for path, _ in walk(deployment)}


def test_the_usual_sidecar_and_an_app_with_a_fixed_id_are_not_admitted(made: Made) -> None:
    """Show that the tests above can fail."""
    assert refused({}, [sidecar_of(made("tcp", "Deployment"))]) == ["runAsUser of a container"]
    pod = pod_of(made("openshift", "Deployment"))
    assert sorted(refused(pod, [])) == ["fsGroup of the pod", "runAsUser of the pod"]
    odd: Manifest = {
        "privileged": True,
        "capabilities": {"add": ["SYS_PTRACE"]},
        "seccompProfile": {"type": "Unconfined"},
    }
    port = {"containerPort": 80, "hostPort": 80}
    assert (
        len(refused({"hostPID": True, "volumes": [{"hostPath": {}}]}, [{"securityContext": odd, "ports": [port]}])) == 6
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("usual", "variant"), [("tcp", "openshift"), ("unix", "openshift-unix")])
def test_it_differs_from_the_usual_sidecar_only_in_the_ids(usual: str, variant: str, kind: str, made: Made) -> None:
    expected, found = in_order(sidecar_of(made(usual, kind))), in_order(sidecar_of(made(variant, kind)))
    security = expected["securityContext"]
    assert (security.pop("runAsUser"), security.pop("runAsGroup")) == (65532, 65532)
    assert found == expected


def in_order(container: Manifest) -> Manifest:
    """Return a copy with sorted lists, because a second merge changes their order."""
    copied = copy.deepcopy(container)
    for name in ("env", "volumeMounts"):
        copied[name].sort(key=str)
    return copied
