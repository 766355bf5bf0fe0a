"""The image under test and the other images, by their names in docker-compose.yml."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
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
STAND_IN_BASE = "pay1st-token-sidecar-base:stand-in"

_FINISH = {
    # The Redis of the official image accepts all clients; that of Debian does so only without protected mode.
    "redis": ['ENTRYPOINT ["/bin/sh", "-c", "exec \\"$@\\" --protected-mode no", "sh"]'],
    "prometheus": [
        'CMD ["--config.file=/etc/prometheus/prometheus.yml", "--storage.tsdb.path=/tmp/prometheus"]',
        'ENTRYPOINT ["prometheus"]',
    ],
}
"""The instructions that finish the stand-in for a service's image."""


def default_base() -> str:
    (line,) = (line for line in DOCKERFILE.read_text().splitlines() if line.startswith("ARG BASE="))
    return line.partition("=")[2]


def build(engine: Engine) -> str:
    """Build the image, and return its base."""
    base = default_base()
    if not is_there(engine, base):
        base = STAND_IN_BASE
        make(engine, ["python3", "python3-venv"], {base: []})
    engine.docker("build", "--build-arg", f"BASE={base}", "--file", DOCKERFILE, "--tag", IMAGE, ROOT)
    return base


@contextmanager
def beside(engine: Engine) -> Iterator[Mapping[str, str]]:
    """Yield the image of each service by the service's name, without services whose image is not available.

    An image with a digest in its name cannot be made here. A stand-in has another name, and is removed afterwards.
    """
    named: dict[str, str] = {name: service["image"] for name, service in SERVICES.items()}
    there = {image for image in set(named.values()) if is_there(engine, image)}
    stand_ins = {name: f"pay1st-token-sidecar-{name}:stand-in" for name in _FINISH if named[name] not in there}
    if stand_ins:
        make(engine, ["redis-server", "prometheus"], {image: _FINISH[name] for name, image in stand_ins.items()})
    try:
        yield {name: image for name, image in named.items() if image in there} | stand_ins
    finally:
        if stand_ins:
            engine.docker("rmi", "--force", *stand_ins.values())
