"""The files of deploy/, checked by the tools that read them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from tests.support.programs import found, needs
from tests.support.threaded import in_a_thread

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
DOCKERFILE = DEPLOY / "docker/Dockerfile"


def run(*command: str | Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run it with these variables added to the environment."""
    variables = {**os.environ, **environ}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=60, check=False)


def output_of(*command: str | Path) -> str:
    done = run(*command)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def promtool() -> str:
    """Return the path of promtool, which pip cannot install. Without it the test fails, and does not skip."""
    path = shutil.which("promtool")
    if path is None:
        pytest.fail(
            "promtool is not on the path: install Prometheus (Debian: apt-get install prometheus)", pytrace=False
        )
    return path


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    assert output_of(Path(sysconfig.get_path("scripts")) / "hadolint", DOCKERFILE) == ""


def test_prometheus_takes_the_rules_and_the_configuration() -> None:
    output_of(promtool(), "check", "rules", DEPLOY / "prometheus/rules.yml")
    output_of(promtool(), "check", "config", DEPLOY / "prometheus/prometheus.yml")


def test_every_alert_fires_when_it_should_and_only_then() -> None:
    output_of(promtool(), "test", "rules", DEPLOY / "prometheus/rules_test.yml")


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(Path(sysconfig.get_path("scripts")) / "docker-compose", id="newest"),
        pytest.param(found("docker-compose"), marks=needs("docker-compose"), id="system"),
    ],
)
def test_each_generation_of_compose_takes_the_file(program: str) -> None:
    """pip installs the newest; the one of the system is 1.29 on Debian 12, which is still common."""
    output_of(program, "--file", ROOT / "docker-compose.yml", "config", "--quiet")


@contextmanager
def livez_answering(status: int) -> Iterator[int]:
    """A server on a free port that answers `status` to /livez and 404 to the rest."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/livez" else 404)
            self.end_headers()

        def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
            """Write nothing to stderr."""

    with in_a_thread(HTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield server.server_port


def health(**environ: str) -> int:
    """Return the exit code of the HEALTHCHECK of the image."""
    written = re.search(r"^HEALTHCHECK .*?CMD (\[.*?\])$", DOCKERFILE.read_text(), re.MULTILINE | re.DOTALL)
    assert written is not None
    python, *arguments = json.loads(written[1])
    assert python == "python"
    return run(sys.executable, *arguments, **environ).returncode


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", "localhost"])
def test_the_health_check_passes_while_the_sidecar_is_alive_wherever_its_admin_listener_is(host: str) -> None:
    with livez_answering(200) as port:
        assert health(SIDECAR_ADMIN_LISTEN=f"{host}:{port}") == 0


def test_the_health_check_follows_the_file_of_settings(tmp_path: Path) -> None:
    config = tmp_path / "sidecar.toml"
    with livez_answering(200) as port:
        config.write_text(f'admin_listen = "127.0.0.1:{port}"\n')
        assert health(SIDECAR_CONFIG=str(config)) == 0


async def test_the_health_check_follows_a_unix_socket(tmp_path: Path) -> None:
    path = tmp_path / "admin.sock"

    async def livez(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n{}")
        writer.close()

    async with await asyncio.start_unix_server(livez, path):
        assert await asyncio.to_thread(health, SIDECAR_ADMIN_LISTEN=f"unix:{path}") == 0


def test_the_health_check_fails_with_1_when_the_sidecar_is_not_well_or_not_there() -> None:
    with livez_answering(503) as port:
        assert health(SIDECAR_ADMIN_LISTEN=f"127.0.0.1:{port}") == 1
    assert health(SIDECAR_ADMIN_LISTEN=f"127.0.0.1:{port}") == 1
    assert health(SIDECAR_ADMIN_LISTEN="nonsense") == 1
