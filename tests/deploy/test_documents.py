"""The documents name what the program has: settings, metrics, error codes, commands and paths."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from sidecar import __version__
from sidecar.config.schema import SETTINGS
from sidecar.telemetry.metric_names import CODES
from sidecar.telemetry.metrics import Metrics
from sidecar.web.responses import PROBLEMS

TOP = Path(__file__).resolve().parents[2]
README = (TOP / "README.md").read_text(encoding="utf-8")
SETTINGS_PAGE = (TOP / "docs/settings.md").read_text(encoding="utf-8")
METRICS_PAGE = (TOP / "docs/metrics.md").read_text(encoding="utf-8")
COMMANDS_PAGE = (TOP / "docs/commands.md").read_text(encoding="utf-8")
DOCUMENTS = [path for path in (*TOP.glob("*.md"), *TOP.glob("[!.]*/**/*.md")) if "node_modules" not in path.parts]


def rows(first: str, page: str = README) -> list[list[str]]:
    """Return the cells of the page's table whose heading begins with `first`."""
    table = page.split(f"| {first} |", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[2:]]


def test_the_readme_stays_short_and_its_two_commands_exist() -> None:
    """It names `make run` and `make test`, and each command and setting that it names exists."""
    assert len(README.splitlines()) <= 150
    targets = set(re.findall(r"^([a-z-]+):", (TOP / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert {"run", "test"} <= set(re.findall(r"(?:`| {4})make ([a-z-]+)", README)) <= targets
    commands = set(re.findall(r"[`/]token-sidecar ([a-z]+)", README))
    assert commands
    assert commands <= set(re.findall(r"^## token-sidecar ([a-z]+)$", COMMANDS_PAGE, re.MULTILINE))
    assert set(re.findall(r"SIDECAR_[A-Z_]+", README)) <= {s.name for s in SETTINGS}


def settings_of(page: str) -> list[list[str]]:
    return [[cell.replace("`", "").strip() for cell in row] for row in rows("setting", page)]


def test_the_settings_page_is_the_programs_own_and_the_readme_a_part_of_it() -> None:
    """Only names and defaults must agree: the README explains its few settings in other words."""
    known = [[f"{s.name}{'*' if s.per_profile else ''}", s.default_shown, s.meaning] for s in SETTINGS]
    assert settings_of(SETTINGS_PAGE) == known
    first = settings_of(README)
    assert 5 <= len(first) < len(known)
    assert all(row[:2] in [setting[:2] for setting in known] for row in first)


def test_the_metrics_table_names_every_metric_and_no_other() -> None:
    body, _ = Metrics(list, ["default"], __version__, gateways=["default"]).render("")
    emitted = set(re.findall(r"^# TYPE token_sidecar_(\w+) ", body.decode(), re.MULTILINE))
    written = {name for row in rows("metric", METRICS_PAGE) for name in re.findall(r"`(\w+)`", row[0])}
    assert written == emitted


def test_the_readme_names_every_error_code_with_its_status() -> None:
    section = README.split("Errors are", 1)[1].split("\n\n", 1)[0]
    for code, (status, _title) in PROBLEMS.items():
        if code == "internal-error":
            continue
        assert f"`{code}`" in section, code
        assert str(status) in section, code


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(TOP)))
def test_every_path_named_in_a_document_exists(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for path in re.findall(r"`((?:sidecar|tests|deploy|docs|core|web)/[\w/.-]+\.\w+)`", text):
        assert (TOP / path).exists() or (TOP / "sidecar" / path).exists(), path


def test_the_changelog_is_about_this_version_or_what_comes_next() -> None:
    changelog = (TOP / "CHANGELOG.md").read_text(encoding="utf-8")
    assert "## [Unreleased]" in changelog or f"## [{__version__}]" in changelog


def test_the_project_calls_itself_by_the_public_names() -> None:
    project = tomllib.loads((TOP / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["name"] == "pay1st-token-sidecar"
    assert project["scripts"] == {"token-sidecar": "sidecar.__main__:main"}
    assert project["requires-python"] == ">=3.11"
    assert len(CODES) == len(set(CODES))
