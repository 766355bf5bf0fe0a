"""The lock of the run-time dependencies."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PINS = dict(re.findall(r"^([a-z0-9-]+)==(\S+)", LOCK, re.MULTILINE))


def test_every_line_is_a_pin_with_hashes_or_a_comment() -> None:
    entries = re.sub(r"\\\n\s+", "", re.sub(r"^\s*#.*\n", "", LOCK, flags=re.MULTILINE)).splitlines()
    form = re.compile(r"[a-z0-9-]+==[0-9.]+( ; [^@]+)?( ?--hash=sha256:[0-9a-f]{64})+")
    assert [entry for entry in entries if not form.fullmatch(entry)] == []
    assert len(entries) == len(PINS) > 10


def test_no_registry_is_named() -> None:
    assert re.findall(r"://|--index|--extra-index|--find-links|--trusted-host", LOCK) == []


def test_every_run_time_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    named = {re.split(r"[\[><=~!;]", line)[0].strip() for line in project["dependencies"]}
    assert named <= set(PINS)


@pytest.mark.parametrize(
    ("package", "floor"),
    [("aiohttp", (3, 14, 4)), ("cryptography", (46, 0, 7)), ("redis", (8, 1)), ("prometheus-client", (0, 23, 1))],
)
def test_no_faulty_version_is_allowed(package: str, floor: tuple[int, ...]) -> None:
    """aiohttp sent a body again that it no longer had, cryptography had CVE-2026-39892, redis-py refused a setting."""
    assert _bounds()[package][0] >= floor


def test_every_pin_is_within_the_bounds_its_dependency_has() -> None:
    bounds = _bounds()
    assert len(bounds) > 5
    for package, (floor, ceiling) in bounds.items():
        assert _numbers(PINS[package]) >= floor, package
        assert ceiling is None or _numbers(PINS[package]) < ceiling, package


def _bounds() -> dict[str, tuple[tuple[int, ...], tuple[int, ...] | None]]:
    """Return the floor of each run-time dependency and the version that is no longer allowed, if there is one."""
    bounds = {}
    for line in tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]:
        found = re.fullmatch(r"([a-z0-9-]+)(?:\[\w+\])?>=([0-9.]+)(?:,<([0-9.]+))?", line)
        assert found, f"a dependency without a floor: {line}"
        bounds[found[1]] = (_numbers(found[2]), _numbers(found[3]) if found[3] else None)
    return bounds


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
