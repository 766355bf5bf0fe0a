"""Every example renders, and the result conforms to the schemas of every supported Kubernetes."""

from __future__ import annotations

import kubernetes_validate
import pytest
from kubernetes_validate.utils import all_versions

from tests.kustomize.conftest import Made
from tests.kustomize.rendering import EXAMPLES, SECRETS, Manifest, render
from tests.kustomize.workloads import CASES

NATIVE = 29
"""Native sidecars are on by default since Kubernetes 1.29."""
KNOWN = sorted({int(version.split(".")[1]) for version in all_versions()})
VERSIONS = [minor for minor in KNOWN if minor >= NATIVE]
OF_THE_OPERATOR = "monitoring.coreos.com/v1"
"""Its kinds have no schema here; test_monitoring.py checks them."""


def of_kubernetes(manifests: list[Manifest]) -> list[Manifest]:
    """Return the documents that have a schema. An Argo Rollout without its strategy is a Deployment."""
    return [plain(manifest) for manifest in manifests if manifest["apiVersion"] != OF_THE_OPERATOR]


def plain(manifest: Manifest) -> Manifest:
    if manifest["kind"] != "Rollout":
        return manifest
    spec = {name: value for name, value in manifest["spec"].items() if name != "strategy"}
    return {**manifest, "apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_renders_to_documents(example: str) -> None:
    assert render(EXAMPLES[example])


@pytest.mark.parametrize("minor", VERSIONS)
def test_all_documents_conform_strictly_to_the_schemas_of_1_(minor: int, everything: list[Manifest]) -> None:
    secrets = [
        {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": data}
        for name, data in SECRETS.items()
    ]
    for manifest in [*of_kubernetes(everything), *secrets]:
        kubernetes_validate.validate(manifest, f"1.{minor}", strict=True)


@pytest.mark.parametrize("minor", [minor for minor in KNOWN if minor < NATIVE])
def test_the_classic_sidecar_conforms_to_the_schemas_of_1_(minor: int, made: Made) -> None:
    for variant, kind in CASES:
        if "classic" in variant:
            kubernetes_validate.validate(plain(made(variant, kind)), f"1.{minor}", strict=True)


def test_the_schemas_are_from_the_first_native_sidecars_to_the_newest_known_release() -> None:
    assert list(range(NATIVE, VERSIONS[-1] + 1)) == VERSIONS
    assert VERSIONS[-1] >= 37


def test_placeholders_are_never_applied() -> None:
    """The file of the Secrets is in no kustomization, and holds only placeholders."""
    for example in EXAMPLES.values():
        assert all(manifest["kind"] != "Secret" for manifest in render(example))
    values = [value for data in SECRETS.values() for name, value in data.items() if name != "sidecar.toml"]
    assert all("REPLACE-WITH-" in value for value in values)
