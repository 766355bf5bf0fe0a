"""The rendered sidecar starts: its settings load from the mounted files, and the paths of its probes exist."""

from __future__ import annotations

import re
from pathlib import Path

import certifi
import pytest

from sidecar import __version__
from sidecar.config.load import load
from sidecar.config.schema import SETTINGS, Settings
from sidecar.core.errors import ConfigurationError
from sidecar.partner.presets import PRESETS
from sidecar.web.api.openapi import document
from tests.kustomize.conftest import Made
from tests.kustomize.mounting import Mounted
from tests.kustomize.rendering import EXAMPLES, SECRETS, Manifest, environment_of, pod_of, render, sidecar_of
from tests.kustomize.workloads import CASES

PROBES = {"startupProbe": "/startupz", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
DEFAULTS = {setting.name: setting.default for setting in SETTINGS}


# The settings load only with a real CA.
MOUNTED = {
    **SECRETS,
    "token-sidecar-store": {
        **SECRETS["token-sidecar-store"],
        "ca.crt": Path(certifi.where()).read_text(encoding="ascii"),
    },
}


def loaded(manifest: Manifest, root: Path) -> Settings:
    """Load the settings from the rendered environment and the files of the example's Secrets."""
    environment = Mounted(manifest, sidecar_of(manifest), root, MOUNTED).environment
    return load(environment, PRESETS)


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_the_sidecar_accepts_its_settings_without_a_warning(
    variant: str, kind: str, made: Made, tmp_path: Path
) -> None:
    settings = loaded(made(variant, kind), tmp_path)
    assert settings.warnings == ()
    assert settings.store.text.reveal().startswith("rediss://")
    assert settings.seal


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_the_files_named_by_the_settings_are_in_the_secrets(
    variant: str, kind: str, made: Made, tmp_path: Path
) -> None:
    settings = loaded(made(variant, kind), tmp_path)
    (profile,) = settings.profiles
    assert profile.credentials_dir is not None
    assert {path.name for path in profile.credentials_dir.iterdir()} == {"api-key", "api-secret"}
    named = re.findall(r"=(/[^&]*)", settings.store.text.reveal())
    assert len(named) == 2
    assert [path for path in [*named, str(settings.seal_key_file)] if not Path(path).is_file()] == []


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_the_vending_listener_can_only_be_reached_inside_the_pod(
    variant: str, kind: str, made: Made, tmp_path: Path
) -> None:
    settings = loaded(made(variant, kind), tmp_path)
    listen = [str(address) for address in settings.listen]
    unix = f"unix:{tmp_path}/run/token-sidecar/token.sock"
    assert listen == [unix if "unix" in variant else DEFAULTS["SIDECAR_LISTEN"]]
    assert settings.caller_token_file is None


@pytest.mark.parametrize(("variant", "kind"), CASES)
def test_a_probe_uses_an_existing_path_of_the_admin_listener(variant: str, kind: str, made: Made) -> None:
    container = sidecar_of(made(variant, kind))
    (port,) = container["ports"]
    assert environment_of(container)["SIDECAR_ADMIN_LISTEN"] == f":{port['containerPort']}"
    for probe, path in PROBES.items():
        assert container[probe]["httpGet"] == {"path": path, "port": port["name"]}
        assert path in document()["paths"]


def test_the_startup_probe_waits_longer_than_an_app_may_wait_for_a_token(made: Made, tmp_path: Path) -> None:
    """Otherwise the kubelet would restart it repeatedly, just before the app may start without a token."""
    probe = sidecar_of(made("tcp", "Job"))["startupProbe"]
    waits_s = probe["periodSeconds"] * probe["failureThreshold"]
    with pytest.raises(ConfigurationError, match="SIDECAR_REQUEST_TIMEOUT_S must be"):
        load(
            {"SIDECAR_API_KEY": "k", "SIDECAR_API_SECRET": "s", "SIDECAR_REQUEST_TIMEOUT_S": str(waits_s)},
            PRESETS,
        )


@pytest.mark.parametrize("example", ["deployment", "job"])
def test_an_app_over_tcp_uses_the_address_of_the_sidecar(example: str) -> None:
    (workload,) = render(EXAMPLES[example])
    (app,) = pod_of(workload)["containers"]
    assert environment_of(app) == {"TOKEN_URL": f"http://{DEFAULTS['SIDECAR_LISTEN']}/v1/token"}


def test_an_app_over_a_unix_socket_may_use_it_and_is_accepted(tmp_path: Path) -> None:
    """The socket has mode 0660, so the app needs the group, and the sidecar accepts only its uid."""
    (workload,) = render(EXAMPLES["deployment-unix"])
    (app,) = pod_of(workload)["containers"]
    sidecar = sidecar_of(workload)
    socket = environment_of(app)["TOKEN_SOCKET"]
    assert environment_of(sidecar)["SIDECAR_LISTEN"] == f"unix:{socket}"
    for container in (app, sidecar):
        assert "token-sidecar-socket" in {
            mount["name"] for mount in container["volumeMounts"] if mount["mountPath"] == str(Path(socket).parent)
        }
    assert app["securityContext"]["runAsGroup"] == sidecar["securityContext"]["runAsGroup"]
    settings = loaded(workload, tmp_path)
    assert settings.allowed_uids == frozenset([app["securityContext"]["runAsUser"]])
    assert settings.warnings == ()


def test_an_example_has_the_name_of_the_pushed_image() -> None:
    (workload,) = render(EXAMPLES["deployment"])
    assert sidecar_of(workload)["image"] == f"registry.example.internal/pay1st-token-sidecar:{__version__}"
