"""The image under test and those beside it, by the names docker-compose.yml gives them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.image.engine import Engine
from tests.image.stand_ins import is_there, make

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy/docker/Dockerfile"
SERVICES: dict[str, dict[str, Any]] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
IMAGE: str = SERVICES["sandbox"]["image"]
REDIS: str = SERVICES["redis"]["image"]
PROMETHEUS: str = SERVICES["prometheus"]["image"]
STAND_IN_BASE = "pay1st-token-sidecar-base:stand-in"

# The official image's Redis lets everybody in who reaches it; Debian's does not unless told.
_REDIS = ['ENTRYPOINT ["/bin/sh", "-c", "exec \\"$@\\" --protected-mode no", "sh"]']
_PROMETHEUS = [
    'ENTRYPOINT ["prometheus", "--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/tmp/prometheus"]'
]


def default_base() -> str:
    (line,) = (line for line in DOCKERFILE.read_text().splitlines() if line.startswith("ARG BASE="))
    return line.partition("=")[2]


def build(engine: Engine) -> str:
    """Build the image; returns the base it stands on."""
    base = default_base()
    if not is_there(engine, base):
        base = STAND_IN_BASE
        make(engine, ["python3", "python3-venv"], {base: []})
    engine.docker("build", "--build-arg", f"BASE={base}", "--file", DOCKERFILE, "--tag", IMAGE, ROOT)
    return base


@contextmanager
def beside(engine: Engine) -> Iterator[set[str]]:
    """The names of all images that compose can use. Stand-ins do not stay under others' names."""
    wanted = {REDIS: _REDIS, PROMETHEUS: _PROMETHEUS}
    missing = {name: finish for name, finish in wanted.items() if not is_there(engine, name)}
    if missing:
        make(engine, ["redis-server", "prometheus"], missing)
    try:
        yield {name for name in {service["image"] for service in SERVICES.values()} if is_there(engine, name)}
    finally:
        if missing:
            engine.docker("rmi", "--force", *missing)
