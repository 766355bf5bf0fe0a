"""The wheel holds only the package, has its metadata, and its command runs in an empty environment."""

from __future__ import annotations

import email
import sysconfig
import tomllib
import zipfile
from configparser import ConfigParser
from email.message import Message
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from sidecar import __version__
from tests.release.building import build
from tests.release.checkout import TOP, copied, tracked
from tests.release.proof import Environment

INFO = f"pay1st_token_sidecar-{__version__}.dist-info"


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    return build("wheel", copied(folder / "checkout"), folder)


@pytest.fixture(scope="module")
def files(wheel: Path) -> dict[str, str]:
    with zipfile.ZipFile(wheel) as packed:
        return {name: packed.read(name).decode() for name in packed.namelist()}


@pytest.fixture(scope="module")
def metadata(files: dict[str, str]) -> Message:
    return email.message_from_string(files[f"{INFO}/METADATA"])


def test_it_has_exactly_the_tracked_files_of_the_package(files: dict[str, str]) -> None:
    packed = {name for name in files if not name.startswith(f"{INFO}/")}
    assert packed == set(tracked("sidecar"))
    assert {Path(name).suffix for name in packed} == {".py", ".toml", ".lua", ".json", ".html", ".css", ".js", ".typed"}


def test_its_metadata_is_that_of_the_project(metadata: Message) -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    stated = {name: metadata[name] for name in ("Name", "Version", "Requires-Python", "License-Expression")}
    assert stated == {
        "Name": "pay1st-token-sidecar",
        "Version": __version__,
        "Requires-Python": project["requires-python"],
        "License-Expression": "Apache-2.0",
    }
    extras = [
        f'{line}; extra == "{extra}"' for extra, lines in project["optional-dependencies"].items() for line in lines
    ]
    needed = {Requirement(line) for line in metadata.get_all("Requires-Dist", [])}
    assert needed == {Requirement(line) for line in (*project["dependencies"], *extras)}


def test_it_has_the_license(files: dict[str, str], metadata: Message) -> None:
    assert metadata.get_all("License-File") == ["LICENSE"]
    assert files[f"{INFO}/licenses/LICENSE"] == (TOP / "LICENSE").read_text(encoding="utf-8")


def test_it_has_one_command(files: dict[str, str]) -> None:
    commands = ConfigParser()
    commands.read_string(files[f"{INFO}/entry_points.txt"])
    assert {name: dict(commands[name]) for name in commands.sections()} == {
        "console_scripts": {"token-sidecar": "sidecar.__main__:main"}
    }


def test_the_installed_command_runs(wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path / "environment", lambda _line: None)
    environment.install("--no-deps", "--no-index", wheel)
    packages = Path(environment.python("import sysconfig; print(sysconfig.get_path('purelib'))"))
    # The libraries of these tests replace the locked ones. The sidecar is not among them: it was installed with a
    # .pth file, and those are read only in an environment's own folder.
    (packages / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    assert Path(environment.python("import sidecar; print(sidecar.__file__)")).is_relative_to(packages)
    assert environment.version() == f"token-sidecar {__version__}"
