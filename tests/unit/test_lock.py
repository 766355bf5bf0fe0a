"""The lock of the run-time dependencies."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

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


def test_aiohttp_is_past_the_heap_read_of_its_response_parser() -> None:
    assert _numbers(PINS["aiohttp"]) >= (3, 14, 3)


def test_every_pin_meets_the_floor_its_dependency_has() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    floors = [re.fullmatch(r"([a-z0-9-]+)(?:\[\w+\])?>=([0-9.]+)", line) for line in project["dependencies"]]
    assert None not in floors, "a dependency without a floor"
    assert [found[1] for found in floors if found and _numbers(PINS[found[1]]) < _numbers(found[2])] == []


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
