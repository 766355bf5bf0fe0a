"""deploy/kustomize as a cluster gets it, rendered by the real kustomize."""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml

Manifest = dict[str, Any]

KUSTOMIZE = Path(__file__).parents[2] / "deploy/kustomize"
EXAMPLES = {path.parent.name: path.parent for path in sorted(KUSTOMIZE.glob("examples/*/kustomization.yaml"))}
SECRETS: dict[str, dict[str, str]] = {
    secret["metadata"]["name"]: secret["stringData"]
    for secret in yaml.safe_load_all((KUSTOMIZE / "examples/secrets.example.yaml").read_text())
}


def kubectl() -> str:
    """Return its path. On Linux a wheel of the test group has it; elsewhere it has to be on the path."""
    wheel = Path(sysconfig.get_path("scripts")) / "kubectl"
    found = str(wheel) if wheel.is_file() else shutil.which("kubectl")
    if found is None:
        pytest.fail("kubectl is not there: install 1.27 or later (it brings kustomize 5)", pytrace=False)
    return found


def try_rendering(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [kubectl(), "kustomize", str(folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@functools.cache
def render(folder: Path) -> tuple[Manifest, ...]:
    """Return the documents that `kubectl kustomize` prints. They are cached, so callers must not change them."""
    done = try_rendering(folder)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # warnings of deprecated fields are there
    return tuple(yaml.safe_load_all(done.stdout))


def write_overlay(folder: Path, components: Sequence[str], resources: Sequence[Manifest]) -> Path:
    """Write a user's kustomization in `folder`, with these resources and our named components."""
    names = []
    for number, resource in enumerate(resources):
        names.append(f"{number}.json")
        (folder / names[-1]).write_text(json.dumps(resource))
    document = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": names,
        "components": [os.path.relpath(KUSTOMIZE / "components" / name, folder.resolve()) for name in components],
    }
    (folder / "kustomization.yaml").write_text(json.dumps(document))
    return folder


def template_of(manifest: Manifest) -> Manifest:
    """Return the pod template of a workload; a Pod is its own template."""
    if manifest["kind"] == "Pod":
        return manifest
    spec = manifest["spec"]
    template: Manifest = spec["jobTemplate"]["spec"]["template"] if manifest["kind"] == "CronJob" else spec["template"]
    return template


def pod_of(manifest: Manifest) -> Manifest:
    pod: Manifest = template_of(manifest)["spec"]
    return pod


def containers_of(pod: Manifest) -> list[Manifest]:
    return [*(pod.get("initContainers") or []), *pod["containers"]]


def sidecar_of(manifest: Manifest) -> Manifest:
    (found,) = (container for container in containers_of(pod_of(manifest)) if container["name"] == "token-sidecar")
    return found


def environment_of(container: Manifest) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container.get("env", [])}


def walk(part: object, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every value of a manifest with the names of its path, without positions in lists."""
    if isinstance(part, dict):
        for name, value in part.items():
            yield from walk(value, (*path, name))
    elif isinstance(part, list):
        for value in part:
            yield from walk(value, path)
    else:
        yield path, part
