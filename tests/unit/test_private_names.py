"""The private names of aiohttp and redis-py that the service uses, which is why their versions have an upper bound."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

NAMES: Mapping[str, set[str]] = {
    "aiohttp": {"BaseConnector._factory", "ResponseHandler._payload"},
    "redis": {
        "_AsyncRESP2Parser", "AbstractConnection._connect", "AbstractConnection._writer",
        "Connection._connection_arguments", "AsyncBaseParser._stream", "_AsyncRESPBase._connected",
    },
}  # fmt: skip
"""A name that is added here may be missing in another version: look for it in each that the bounds allow."""


def used() -> Iterator[tuple[str, str]]:
    """The package and the name, with the class of theirs that has it."""
    for path in sorted((ROOT / "sidecar").rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                package = (node.module or "").partition(".")[0]
                yield from ((package, alias.name) for alias in node.names if alias.name.startswith("_"))
            elif isinstance(node, ast.ClassDef) and node.bases and path.name != "__main__.py":
                yield from used_by(node, ".".join(path.relative_to(ROOT).with_suffix("").parts))


def used_by(node: ast.ClassDef, module: str) -> Iterator[tuple[str, str]]:
    """What a class of ours overrides or takes of the classes of theirs that it is made of."""
    ours = getattr(importlib.import_module(module), node.name, None)
    names = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    names |= {part.name for part in ast.walk(node) if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
    for name in (name for name in names if re.match(r"_[^_]", name)):
        for base in reversed(getattr(ours, "__mro__", ())):
            package = base.__module__.partition(".")[0]
            if package in NAMES and re.search(rf"\b{name}\b", inspect.getsource(base)):
                yield package, f"{base.__name__}.{name}"
                break


def test_none_of_aiohttps_is_in_use_on_the_way_of_a_request() -> None:
    """Those that are left are of its client, on the way to the partner."""
    classes = {base.partition(".")[0] for base in NAMES["aiohttp"]}
    assert classes == {"BaseConnector", "ResponseHandler"}


@pytest.mark.parametrize("package", NAMES)
def test_a_private_name_in_use_is_listed(package: str) -> None:
    assert {name for owner, name in used() if owner == package} == NAMES[package]


def test_a_package_with_private_names_in_use_has_an_upper_bound() -> None:
    """The next minor version of aiohttp, the next major one of redis-py: what each may change in."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(re.findall(r"^([a-z-]+)>=([0-9.]+,<[0-9.]+)$", "\n".join(project["dependencies"]), re.MULTILINE))
    assert bounds == {"aiohttp": "3.14.4,<3.15", "redis": "8.1,<9"}
