"""docker-compose.yml: what no compose command checks, and what must hold where none is installed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.cli.commands import _parser
from sidecar.config.load import load
from sidecar.partner.presets import PRESETS

ROOT = Path(__file__).parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
SIDECARS = ["sidecar-a", "sidecar-b"]


def test_there_are_two_sidecars_one_store_one_partner_and_a_watcher() -> None:
    assert set(SERVICES) == {"sandbox", "redis", "prometheus", *SIDECARS}


def test_it_is_read_alike_by_old_and_new_compose() -> None:
    """Old compose knows no `name` at the top; new compose warns of `version`."""
    assert {key for key in COMPOSE if not key.startswith("x-")} == {"services", "secrets"}


def test_ports_are_published_on_loopback_only_and_once() -> None:
    published = [port for service in SERVICES.values() for port in service.get("ports", [])]
    assert all(port.startswith("127.0.0.1:") for port in published)
    host_ports = [port.rsplit(":", 1)[0] for port in published]
    assert len(host_ports) == len(set(host_ports))


def test_everything_named_is_there() -> None:
    for service in SERVICES.values():
        assert set(service.get("depends_on", ())) <= set(SERVICES)
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"])
        assert all((ROOT / volume.split(":")[0]).is_dir() for volume in service.get("volumes", ()))
        assert (ROOT / service.get("build", {}).get("dockerfile", "docker-compose.yml")).is_file()
    assert all((ROOT / secret["file"]).is_file() for secret in COMPOSE["secrets"].values())


def test_who_is_waited_for_to_be_healthy_says_when_it_is() -> None:
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
    presets = {preset.name: preset.base_url for preset in PRESETS.values()}
    environment = SERVICES[name]["environment"]
    for variable, value in environment.items():
        if str(value).startswith("/run/secrets/"):
            assert str(value).removeprefix("/run/secrets/") in SERVICES[name]["secrets"], variable
    settings = load(environment, presets)
    assert settings.seal
    assert settings.caller_token_file is not None


@pytest.mark.parametrize("name", [*SIDECARS, "sandbox"])
def test_what_is_ours_runs_hardened(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]


def demo(name: str) -> str:
    path: str = COMPOSE["secrets"][name]["file"]
    return (ROOT / path).read_text().strip()


def test_the_sandbox_command_is_one_and_reads_the_credentials_the_sidecars_have() -> None:
    sandbox = SERVICES["sandbox"]
    arguments = _parser(()).parse_args(sandbox["command"])
    for name in SIDECARS:
        environment = SERVICES[name]["environment"]
        assert environment["SIDECAR_CREDENTIALS_DIR"] == str(arguments.credentials_dir)
        assert environment["SIDECAR_BASE_URL"] == f"http://sandbox:{arguments.listen.port}"
        assert {"api-key", "api-secret"} <= set(sandbox["secrets"]) & set(SERVICES[name]["secrets"])


def test_the_image_is_built_once_and_before_anybody_needs_it() -> None:
    (built,) = (name for name, service in SERVICES.items() if "build" in service)
    for service in SERVICES.values():
        if service["image"] == SERVICES[built]["image"] and "build" not in service:
            assert built in service["depends_on"]


def test_the_seal_key_is_one_and_says_that_it_is_no_secret() -> None:
    key = base64.b64decode(demo("seal-keys").partition(":")[2], validate=True)
    assert len(key) == 32
    assert b"not-for-production" in key


def test_the_curl_lines_in_the_head_carry_the_caller_token() -> None:
    head = (ROOT / "docker-compose.yml").read_text().partition("x-image")[0]
    curls = [line for line in head.splitlines() if "curl" in line]
    assert len(curls) == len(SIDECARS)
    assert all(f"Authorization: Bearer {demo('caller-token')}" in line for line in curls)
    ports = [SERVICES[name]["ports"][0].split(":")[1] for name in SIDECARS]
    assert all(f"127.0.0.1:{port}/v1/token" in line for port, line in zip(ports, curls, strict=True))


def test_prometheus_scrapes_the_admin_listener_of_every_sidecar() -> None:
    config = yaml.safe_load((ROOT / "deploy/prometheus/prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    targets = [target for group in job["static_configs"] for target in group["targets"]]
    assert targets == [f"{name}:9181" for name in SIDECARS]
    assert all(SERVICES[name]["environment"]["SIDECAR_ADMIN_LISTEN"].endswith(":9181") for name in SIDECARS)
