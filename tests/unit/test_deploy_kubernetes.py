"""The Kubernetes manifests: the schemas of every supported version, and what schemas do not see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from kubernetes_validate.utils import all_versions

from sidecar.config.load import load
from sidecar.config.settings import Settings
from sidecar.config.table import SETTINGS
from sidecar.partner.presets import PRESETS

KUBERNETES = Path(__file__).parents[2] / "deploy/kubernetes"
VERSIONS = sorted({f"1.{minor}" for minor in (int(v.split(".")[1]) for v in all_versions()) if minor >= 29})
"""Native sidecars are on by default since 1.29."""
QUANTITY = re.compile(r"[0-9]+(\.[0-9]+)?(m|k|Ki|Mi?|Gi?)?")

Manifest = dict[str, Any]


def documents(name: str) -> list[Manifest]:
    return list(yaml.safe_load_all((KUBERNETES / name).read_text()))


(KUSTOMIZATION,) = documents("kustomization.yaml")
RESOURCES: list[str] = KUSTOMIZATION["resources"]
SECRETS = documents("secrets.example.yaml")
(DEPLOYMENT,) = documents("deployment.yaml")
TEMPLATE: Manifest = DEPLOYMENT["spec"]["template"]
POD: Manifest = TEMPLATE["spec"]
(SIDECAR,) = POD["initContainers"]
(APP,) = POD["containers"]
ENVIRONMENT: dict[str, str] = {entry["name"]: entry["value"] for entry in SIDECAR["env"]}
PROBES = ["startupProbe", "livenessProbe", "readinessProbe"]


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_conform_strictly_to_the_schemas_of(version: str) -> None:
    for manifest in [document for name in RESOURCES for document in documents(name)] + SECRETS:
        kubernetes_validate.validate(manifest, version, strict=True)


def test_kustomize_changes_nothing_of_what_is_written() -> None:
    """No transformer, so the files are what a cluster gets, also where no kubectl is there to render them."""
    assert set(KUSTOMIZATION) == {"apiVersion", "kind", "resources"}


def test_placeholders_are_never_applied_with_the_rest() -> None:
    assert RESOURCES == ["deployment.yaml"]
    for secret in SECRETS:
        assert all("REPLACE-WITH-" in value for value in secret["stringData"].values())


def test_the_sidecar_is_a_native_one() -> None:
    """A schema takes any text here; anything but `Always` makes the pod wait in Init for ever."""
    assert SIDECAR["restartPolicy"] == "Always"


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_asks_a_named_port_that_the_admin_listener_has(probe: str) -> None:
    (port,) = (port for port in SIDECAR["ports"] if port["name"] == SIDECAR[probe]["httpGet"]["port"])
    assert ENVIRONMENT["SIDECAR_ADMIN_LISTEN"] == f"0.0.0.0:{port['containerPort']}"


@pytest.mark.parametrize("probe", PROBES)
def test_a_probe_names_no_host(probe: str) -> None:
    """Pod Security refuses `host` since Kubernetes 1.34."""
    assert set(SIDECAR[probe]["httpGet"]) == {"path", "port"}


def test_only_readiness_depends_on_having_a_token() -> None:
    assert [SIDECAR[probe]["httpGet"]["path"] for probe in PROBES] == ["/livez", "/livez", "/readyz"]


def test_the_vending_listener_stays_on_loopback_and_the_app_knows_it() -> None:
    assert "SIDECAR_LISTEN" not in ENVIRONMENT
    default = next(setting.default for setting in SETTINGS if setting.name == "SIDECAR_LISTEN")
    assert {entry["name"]: entry["value"] for entry in APP["env"]} == {"TOKEN_URL": f"http://{default}/v1/token"}


@pytest.mark.parametrize("container", [SIDECAR, APP], ids=["sidecar", "app"])
def test_a_container_meets_the_restricted_profile(container: Manifest) -> None:
    security = container["securityContext"]
    assert security["runAsNonRoot"] is True
    assert security["runAsUser"] > 0
    assert security["allowPrivilegeEscalation"] is False
    assert security["readOnlyRootFilesystem"] is True
    assert security["capabilities"] == {"drop": ["ALL"]}
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}


def test_secrets_are_mounted_in_the_sidecar_only_and_as_whole_directories() -> None:
    mounts = {mount["name"]: mount for mount in SIDECAR["volumeMounts"]}
    assert set(mounts) == {volume["name"] for volume in POD["volumes"]}
    assert all(mount["readOnly"] is True and "subPath" not in mount for mount in mounts.values())
    assert "volumeMounts" not in APP


def test_the_sidecars_user_may_read_the_secret_files() -> None:
    """Root owns them and there is no fsGroup: only the bits for others count."""
    assert "fsGroup" not in POD.get("securityContext", {})
    assert [volume["secret"]["defaultMode"] for volume in POD["volumes"]] == [0o444, 0o444]


def test_no_secret_comes_through_the_environment() -> None:
    for container in (SIDECAR, APP):
        assert "envFrom" not in container
        assert all(set(entry) == {"name", "value"} for entry in container["env"])


def test_the_mounted_secrets_are_those_of_the_example() -> None:
    assert {volume["secret"]["secretName"] for volume in POD["volumes"]} == {s["metadata"]["name"] for s in SECRETS}


def quantities(container: Manifest) -> Iterator[str]:
    for amounts in container["resources"].values():
        yield from amounts.values()


@pytest.mark.parametrize("container", [SIDECAR, APP], ids=["sidecar", "app"])
def test_resources_are_given_as_quantities(container: Manifest) -> None:
    """A schema takes any text. No CPU limit: throttling would make every caller wait."""
    assert set(container["resources"]["requests"]) == {"cpu", "memory"}
    assert set(container["resources"]["limits"]) == {"memory"}
    assert all(QUANTITY.fullmatch(quantity) for quantity in quantities(container))


def mounted(tmp_path: Path) -> dict[str, str]:
    """Lay the example Secrets out as files where the Deployment mounts them, and point its environment there."""
    contents = {secret["metadata"]["name"]: secret["stringData"] for secret in SECRETS}
    secret_names = {volume["name"]: volume["secret"]["secretName"] for volume in POD["volumes"]}
    moved = dict(ENVIRONMENT)
    for mount in SIDECAR["volumeMounts"]:
        directory = tmp_path / mount["name"]
        directory.mkdir()
        for name, text in contents[secret_names[mount["name"]]].items():
            (directory / name).write_text(text)
        moved = {key: value.replace(mount["mountPath"], str(directory)) for key, value in moved.items()}
    return moved


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return load(mounted(tmp_path), {preset.name: preset.base_url for preset in PRESETS.values()})


def test_the_sidecar_accepts_its_settings_without_a_warning(settings: Settings) -> None:
    assert settings.warnings == ()
    assert settings.store_url.reveal().startswith("rediss://")


def test_the_files_the_settings_name_are_in_the_secrets(settings: Settings) -> None:
    (profile,) = settings.profiles
    assert profile.credentials_dir is not None
    assert {path.name for path in profile.credentials_dir.iterdir()} == {"api-key", "api-secret"}
    assert settings.seal
    assert settings.seal_key_file is not None
    assert settings.seal_key_file.is_file()


def test_the_pod_monitor_finds_the_pods_and_their_port() -> None:
    (monitor,) = documents("podmonitor.yaml")
    assert monitor["spec"]["selector"]["matchLabels"].items() <= TEMPLATE["metadata"]["labels"].items()
    assert [e["port"] for e in monitor["spec"]["podMetricsEndpoints"]] == [p["name"] for p in SIDECAR["ports"]]


def test_the_deployment_selects_its_own_pods() -> None:
    assert DEPLOYMENT["spec"]["selector"]["matchLabels"].items() <= TEMPLATE["metadata"]["labels"].items()
