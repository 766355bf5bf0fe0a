"""Apps of users, one of each kind, with every setting that a component could overwrite."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.kustomize.rendering import Manifest

POD: Manifest = {
    "automountServiceAccountToken": True,
    "serviceAccountName": "billing",
    "terminationGracePeriodSeconds": 90,
    "securityContext": {"fsGroup": 2000, "runAsUser": 1000, "runAsNonRoot": True, "supplementalGroups": [3000]},
    "hostAliases": [{"ip": "127.0.0.1", "hostnames": ["billing.local"]}],
    "dnsPolicy": "Default",
    "initContainers": [
        {"name": "migrate", "image": "billing:3", "volumeMounts": [{"name": "data", "mountPath": "/d"}]}
    ],
    "containers": [
        {
            "name": "billing",
            "image": "billing:3",
            "env": [{"name": "MODE", "value": "full"}],
            "ports": [{"name": "admin", "containerPort": 8080}],
            "volumeMounts": [{"name": "data", "mountPath": "/d"}],
        },
        {"name": "helper", "image": "helper:1"},
    ],
    "volumes": [{"name": "data", "emptyDir": {}}],
}
PODS = {"app.kubernetes.io/name": "billing"}
CANARY: Manifest = {"canary": {"steps": [{"setWeight": 20}, {"pause": {"duration": 60}}]}}


def _long_running(pod: Manifest, **more: Any) -> Manifest:  # noqa: ANN401 - the fields of one kind
    template = {"metadata": {"labels": PODS}, "spec": {**pod, "restartPolicy": "Always"}}
    return {"selector": {"matchLabels": PODS}, "template": template, **more}


def _job(pod: Manifest) -> Manifest:
    return {"backoffLimit": 2, "template": {"metadata": {"labels": PODS}, "spec": {**pod, "restartPolicy": "Never"}}}


_SPECS: dict[str, tuple[str, Callable[[Manifest], Manifest]]] = {
    "Deployment": ("apps/v1", lambda pod: _long_running(pod, replicas=3)),
    "StatefulSet": ("apps/v1", lambda pod: _long_running(pod, serviceName="billing")),
    "DaemonSet": ("apps/v1", _long_running),
    "ReplicaSet": ("apps/v1", lambda pod: _long_running(pod, replicas=3)),
    "Rollout": ("argoproj.io/v1alpha1", lambda pod: _long_running(pod, replicas=3, strategy=CANARY)),
    "Pod": ("v1", lambda pod: {**pod, "restartPolicy": "Always"}),
    "Job": ("batch/v1", _job),
    "CronJob": ("batch/v1", lambda pod: {"schedule": "0 4 * * *", "jobTemplate": {"spec": _job(pod)}}),
}
KINDS = list(_SPECS)
LONG_RUNNING = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Rollout", "Pod"]


def workload(kind: str, *, pod: Manifest = POD, labels: dict[str, str] | None = None) -> Manifest:
    """Return an app with the label for the sidecar, unless other labels are given."""
    version, spec = _SPECS[kind]
    given = {"token-sidecar": "true"} if labels is None else labels
    return {
        "apiVersion": version,
        "kind": kind,
        "metadata": {"name": f"billing-{kind.lower()}", "labels": given},
        "spec": spec(pod),
    }


VARIANTS: dict[str, tuple[str, ...]] = {
    "tcp": ("sidecar",),
    "unix": ("sidecar-unix",),
    "classic": ("sidecar-classic",),
    "classic-unix": ("sidecar-unix", "sidecar-classic"),
    "openshift": ("openshift",),
    "openshift-unix": ("sidecar-unix", "openshift"),
}
"""The combinations of components that are allowed."""
CASES = [(variant, kind) for variant in VARIANTS for kind in KINDS if "classic" not in variant or kind in LONG_RUNNING]
