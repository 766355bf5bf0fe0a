"""One engine, one build and one pod for all of these tests, because each takes long to make."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.image.engine import Engine, any_engine
from tests.image.images import IMAGE, beside, build
from tests.image.pod import Pod, open_pod

NO_SHELL = f"""
FROM {IMAGE}
USER 0
RUN ["python", "-c", "import pathlib; [path.unlink() for path in pathlib.Path('/usr/bin').glob('*sh')]"]
USER {{user}}
"""


@pytest.fixture(scope="session")
def engine() -> Iterator[Engine]:
    with any_engine() as engine:
        yield engine


@pytest.fixture(scope="session")
def base(engine: Engine) -> str:
    """Build the image, and return its base. Every fixture that uses the image needs this one."""
    return build(engine)


@pytest.fixture(scope="session")
def usable(engine: Engine, base: str) -> Iterator[Mapping[str, str]]:
    with beside(engine) as images:
        yield images


@pytest.fixture(scope="session")
def pod(engine: Engine, usable: Mapping[str, str]) -> Iterator[Pod]:
    with open_pod(engine, usable["redis"]) as pod:
        yield pod


@pytest.fixture(scope="session")
def without_shell(engine: Engine, base: str) -> str:
    """The image without any shell in it."""
    name = f"{IMAGE}-without-shell"
    user = engine.inspect(IMAGE)["Config"]["User"] or "0"
    engine.docker("build", "--tag", name, "-", stdin=NO_SHELL.format(user=user).encode())
    return name
