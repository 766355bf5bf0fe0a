"""docker-compose.yml, as data: rules that no compose command checks, also where none is installed."""

from __future__ import annotations

import base64
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.app.gateways import allow_list
from sidecar.cli.main import _parser
from sidecar.config.load import load
from sidecar.partner.presets import PRESETS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SIDECARS = ["sidecar-a", "sidecar-b"]
APPS = ["app-a", "app-b"]


def test_there_are_two_sidecars_with_an_app_each_one_store_one_partner_and_watchers() -> None:
    assert set(SERVICES) == {"sandbox", "redis", "prometheus", "grafana", *SIDECARS, *APPS}


def test_each_app_shares_the_network_of_its_sidecar_and_has_no_secret() -> None:
    assert [SERVICES[app]["network_mode"] for app in APPS] == [f"service:{name}" for name in SIDECARS]
    assert not any("secrets" in SERVICES[app] or "environment" in SERVICES[app] for app in APPS)


def test_every_image_is_named_once_and_those_of_others_are_pinned_by_digest() -> None:
    text = (ROOT / "docker-compose.yml").read_text()
    named = re.findall(r"^ +image: (\S+)$", text, re.MULTILINE)
    assert sorted(named) == sorted({service["image"] for service in SERVICES.values()})
    ours = SERVICES["sandbox"]["image"]
    assert re.fullmatch(r"pay1st-token-sidecar:\d+\.\d+\.\d+", ours)
    pinned = re.compile(r"[a-z/]+:v?\d+\.\d+\.\d+(-[a-z]+)?@sha256:[0-9a-f]{64}")
    assert [image for image in named if image != ours and not pinned.fullmatch(image)] == []


def test_old_and_new_compose_read_it_equally() -> None:
    """Old compose rejects `name` at the top; new compose warns about `version`."""
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"services", "secrets"}


def test_ports_are_published_on_loopback_only_and_once() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    host_ports = [port.rsplit(":", 1)[0] for port in published]
    assert len(host_ports) == len(set(host_ports))


def test_every_named_file_exists() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert all((ROOT / volume.split(":")[0]).exists() for volume in service.get("volumes", ()))
        assert (ROOT / service.get("build", {}).get("dockerfile", "docker-compose.yml")).is_file()
    assert all((ROOT / secret["file"]).is_file() for secret in COMPOSE["secrets"].values())


def test_every_service_that_others_wait_for_has_a_health_check() -> None:
    waited_for = {
        name
        for service in SERVICES.values()
        for name, how in service.get("depends_on", {}).items()
        if how["condition"] == "service_healthy"
    }
    assert waited_for == {"redis"}
    assert SERVICES["redis"]["healthcheck"]["test"] == ["CMD", "redis-cli", "ping"]


def test_redis_never_evicts() -> None:
    command = SERVICES["redis"]["command"]
    assert command[command.index("--maxmemory-policy") + 1] == "noeviction"


@pytest.mark.parametrize("name", SIDECARS)
def test_a_sidecar_accepts_its_settings(name: str) -> None:
    environment = SERVICES[name]["environment"]
    for variable, value in environment.items():
        if str(value).startswith("/run/secrets/"):
            assert str(value).removeprefix("/run/secrets/") in SERVICES[name]["secrets"], variable
    settings = load(environment, PRESETS)
    assert settings.seal
    assert [listener.host for listener in settings.listen] == ["127.0.0.1"]


@pytest.mark.parametrize("name", SIDECARS)
def test_the_app_pays_through_the_gateway_of_its_sidecar(name: str) -> None:
    """The gateway is on loopback, signs, and passes the request of the app."""
    environment = SERVICES[name]["environment"]
    (profile,) = load(environment, PRESETS).profiles
    assert profile.gateway is not None
    url = re.findall(r'^URL = "(.*)"$', (ROOT / "deploy/demo/app.py").read_text(), re.MULTILINE)[0]
    (address,) = profile.gateway.listen
    assert url.startswith(f"http://{address}/")
    assert address.host == "127.0.0.1"
    assert allow_list(profile).allows("POST", url.removeprefix(f"http://{address}"))
    assert "signing-key" in SERVICES[name]["secrets"]


@pytest.mark.parametrize("name", [*SIDECARS, *APPS, "sandbox"])
def test_our_containers_run_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["mem_limit"] == "64m"


def demo(name: str) -> str:
    path: str = COMPOSE["secrets"][name]["file"]
    return (ROOT / path).read_text().strip()


def test_the_sandbox_command_exists_and_reads_the_credentials_of_the_sidecars() -> None:
    sandbox = SERVICES["sandbox"]
    arguments = _parser(()).parse_args(sandbox["command"])
    for name in SIDECARS:
        environment = SERVICES[name]["environment"]
        assert environment["SIDECAR_CREDENTIALS_DIR"] == str(arguments.credentials_dir)
        assert environment["SIDECAR_BASE_URL"] == f"http://sandbox:{arguments.listen.port}"
        assert {"api-key", "api-secret"} <= set(sandbox["secrets"]) & set(SERVICES[name]["secrets"])


def test_the_sandbox_checks_signatures_and_takes_faults_from_this_machine() -> None:
    sandbox = SERVICES["sandbox"]
    assert "signing-key" in sandbox["secrets"]
    assert demo("signing-key")
    assert _parser(()).parse_args(sandbox["command"]).control_beyond_loopback


def test_the_image_is_built_once_and_before_it_is_needed() -> None:
    (built,) = (name for name, service in SERVICES.items() if "build" in service)
    for service in SERVICES.values():
        if service["image"] == SERVICES[built]["image"] and "build" not in service:
            shared_network = service.get("network_mode", "").removeprefix("service:")
            assert built in (SERVICES[shared_network] if shared_network else service)["depends_on"]


def test_the_seal_key_is_valid_and_marked_as_no_secret() -> None:
    key = base64.b64decode(demo("seal-keys").partition(":")[2], validate=True)
    assert len(key) == 32
    assert b"not-for-production" in key


def test_the_addresses_in_the_head_are_published() -> None:
    head = (ROOT / "docker-compose.yml").read_text().partition("x-image")[0]
    named = set(re.findall(r"http://(127\.0\.0\.1:\d+)", head))
    assert named == {port.rsplit(":", 1)[0] for service in SERVICES.values() for port in service.get("ports", [])}


def test_prometheus_scrapes_the_admin_listener_of_every_sidecar() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    targets = [target for group in job["static_configs"] for target in group["targets"]]
    assert targets == [f"{name}:9181" for name in SIDECARS]
    assert all(SERVICES[name]["environment"]["SIDECAR_ADMIN_LISTEN"].endswith(":9181") for name in SIDECARS)


def test_grafana_finds_prometheus_and_the_dashboard_among_the_mounted_files() -> None:
    folder = ROOT / "deploy/grafana/provisioning"
    (source,) = yaml.safe_load((folder / "datasources/prometheus.yml").read_text())["datasources"]
    (provider,) = yaml.safe_load((folder / "dashboards/files.yml").read_text())["providers"]
    assert source["url"] == f"http://prometheus:{SERVICES['prometheus']['ports'][0].split(':')[-1]}"
    grafana = SERVICES["grafana"]
    assert grafana["volumes"] == [f"./deploy/grafana:{provider['options']['path']}:ro"]
    assert grafana["environment"]["GF_PATHS_PROVISIONING"] == f"{provider['options']['path']}/provisioning"


def test_grafana_has_no_login_and_allows_only_viewing() -> None:
    """Without an account there is no default password, and `docker compose up` needs none."""
    settings = SERVICES["grafana"]["environment"]
    assert {
        name: value for name, value in settings.items() if not name.startswith(("GF_PATHS_", "GF_DASHBOARDS_"))
    } == {
        "GF_AUTH_ANONYMOUS_ENABLED": "true",
        "GF_AUTH_ANONYMOUS_ORG_ROLE": "Viewer",
        "GF_SECURITY_DISABLE_INITIAL_ADMIN_CREATION": "true",
        "GF_AUTH_DISABLE_LOGIN_FORM": "true",
        "GF_AUTH_BASIC_ENABLED": "false",
    }
