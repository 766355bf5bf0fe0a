"""docker-compose.yml, brought up by both generations of compose."""

from __future__ import annotations

import json
import logging
import re
import sysconfig
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.image.engine import Engine, wait_until
from tests.image.images import ROOT, SERVICES
from tests.support.programs import found

logger = logging.getLogger(__name__)

UP_S = 60
COMPOSES = {"new": str(Path(sysconfig.get_path("scripts")) / "docker-compose"), "old": found("docker-compose") or ""}


class Composed:
    """The running services."""

    def __init__(self, engine: Engine, program: str, images: Path, services: list[str]) -> None:
        self._engine, self._program, self._images, self.services = engine, program, images, services

    def compose(self, *words: str) -> str:
        files = ("--file", ROOT / "docker-compose.yml", "--file", self._images)
        return self._engine.output_of(self._program, *files, "--project-name", "image-test", *words)

    def tokens(self, app: str) -> list[str]:
        """Return the ids of the tokens that this app's payments were created with, each once."""
        return sorted(
            set(re.findall(r"payment C-\S+ for \S+, with token (\w{32})", self.compose("logs", "--no-color", app)))
        )

    def exit_code(self, service: str) -> int:
        code: int = self._engine.inspect(self.compose("ps", "--all", "--quiet", service))["State"]["ExitCode"]
        return code


@pytest.fixture(scope="module", params=COMPOSES)
def composed(
    request: pytest.FixtureRequest,
    engine: Engine,
    usable: Mapping[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Composed]:
    logger.info("left out, for their images cannot be had: %s", sorted(set(SERVICES) - set(usable)))
    images = tmp_path_factory.mktemp("compose") / "images.json"
    images.write_text(json.dumps({"services": {name: {"image": image} for name, image in usable.items()}}))
    composed = Composed(engine, COMPOSES[request.param], images, list(usable))
    try:
        composed.compose("up", "--detach", "--no-build", *usable)
        yield composed
    finally:
        composed.compose("down", "--volumes")


def query(path: str, **parameters: str) -> Any:  # noqa: ANN401 - Prometheus's own document
    with urllib.request.urlopen(f"http://127.0.0.1:9090{path}?{urllib.parse.urlencode(parameters)}") as answer:
        return json.load(answer)["data"]


def value(expression: str) -> str:
    """Return the value in Prometheus; empty if there is none."""
    try:
        result = query("/api/v1/query", query=expression)["result"]
    except OSError:
        return ""
    return str(result[0]["value"][1]) if result else ""


def test_both_apps_create_payments_with_the_same_token_from_one_call(composed: Composed) -> None:
    wait_until(lambda: bool(composed.tokens("app-a") and composed.tokens("app-b")), UP_S)
    assert composed.tokens("app-a") == composed.tokens("app-b")
    wait_until(lambda: value('count(up{job="token-sidecar"} == 1)') == "2", UP_S)
    assert value("sum(token_sidecar_partner_requests_total)") == "1"


def test_prometheus_has_the_alert_rules_and_none_fires(composed: Composed) -> None:
    wait_until(lambda: value("token_sidecar_store_up") != "", UP_S)
    rules = [rule for group in query("/api/v1/rules")["groups"] for rule in group["rules"]]
    assert rules
    assert [rule["name"] for rule in rules if rule["state"] == "firing"] == []


def test_all_our_services_stop_with_exit_code_0(composed: Composed) -> None:
    composed.compose("stop")
    ours = [name for name in composed.services if SERVICES[name]["image"] == SERVICES["sandbox"]["image"]]
    assert {name: composed.exit_code(name) for name in ours} == dict.fromkeys(ours, 0)
