"""The contents and metadata of the image."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import sidecar
from tests.image.engine import Engine
from tests.image.images import IMAGE, ROOT


@pytest.fixture(scope="module")
def layers(engine: Engine, base: str, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The layers on top of the base, as tar files."""
    saved = tmp_path_factory.mktemp("image")
    engine.docker("save", "--output", saved / "image.tar", IMAGE)
    subprocess.run(["tar", "-xf", "image.tar"], cwd=saved, check=True)
    (manifest,) = json.loads((saved / "manifest.json").read_text())
    below = len(engine.inspect(base)["RootFS"]["Layers"])
    return [saved / name for name in manifest["Layers"][below:]]


def files(layers: list[Path]) -> Iterator[tuple[str, bytes]]:
    for layer in layers:
        with tarfile.open(layer) as tar:
            for member in tar:
                content = tar.extractfile(member) if member.isfile() else io.BytesIO()
                yield member.name, content.read() if content else b""


def test_its_labels_name_the_project_and_version(engine: Engine, base: str) -> None:
    labels = engine.inspect(IMAGE)["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == sidecar.__version__
    assert labels["org.opencontainers.image.base.name"] == base
    assert {"title", "description", "licenses"} <= {name.rsplit(".", 1)[1] for name in labels}


def test_it_adds_the_program_to_its_base_and_nothing_else(layers: list[Path]) -> None:
    """The only other files are .pyc files of the standard library: none of a build tool, sources or this machine."""
    added = [name for name, content in files(layers) if content and not name.startswith("app/")]
    assert [name for name in added if "/__pycache__/" not in name] == []
    ours = {name.removeprefix("app/lib/").split("/")[2] for name, _ in files(layers) if name.count("/") > 4}
    assert {"sidecar", "aiohttp"} <= ours
    assert not {"pip", "setuptools", "wheel", "tests"} & ours


def test_no_file_of_it_belongs_to_the_user_it_runs_as(layers: list[Path]) -> None:
    for layer in layers:
        with tarfile.open(layer) as tar:
            assert {(member.uid, member.mode & 0o022) for member in tar if not member.issym()} == {(0, 0)}


def test_the_build_adds_nothing_from_outside_the_sources(engine: Engine, base: str, layers: list[Path]) -> None:
    """No file has a key of the demo. The history has no address, which could have a password, and no setting of pip."""
    key = (ROOT / "deploy/demo/seal-keys").read_bytes().strip()
    assert [name for name, content in files(layers) if key in content] == []
    of_image, of_base = (
        engine.docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", name).splitlines()
        for name in (IMAGE, base)
    )
    ours = of_image[: len(of_image) - len(of_base)]
    assert any("token-sidecar" in line for line in ours)
    assert [line for line in ours if "://" in line or "PIP_" in line] == []


def test_python_writes_no_pyc_file_even_if_it_may(engine: Engine, base: str) -> None:
    """As root, with a writable root and a module that the image has not compiled."""
    made = engine.docker("create", "--user", "0", "--entrypoint", "python", IMAGE, "-c", "import sched")
    try:
        engine.docker("start", "--attach", made)
        assert engine.docker("diff", made) == ""
    finally:
        engine.docker("rm", made)
