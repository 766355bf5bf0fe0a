"""The private names of aiohttp and redis-py that the service uses, which is why their versions have an upper bound."""

from __future__ import annotations

import ast
import functools
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
"""A new name may be missing in another version: look for it in every version that the bounds allow."""


def used(folder: str = "sidecar") -> Iterator[tuple[str, str]]:
    """Yield the package and each private name in use, with the class that has it."""
    for path in sorted((ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom):
                package = (node.module or "").partition(".")[0]
                yield from ((package, alias.name) for alias in node.names if alias.name.startswith("_"))
            elif isinstance(node, ast.ClassDef) and node.bases and path.name != "__main__.py":
                yield from used_by(node, ".".join(path.relative_to(ROOT).with_suffix("").parts))


def used_by(node: ast.ClassDef, module: str) -> Iterator[tuple[str, str]]:
    """Yield the private names that our class overrides or uses of its base classes."""
    ours = getattr(importlib.import_module(module), node.name, None)
    names = {part.attr for part in ast.walk(node) if isinstance(part, ast.Attribute)}
    names |= {part.name for part in ast.walk(node) if isinstance(part, ast.FunctionDef | ast.AsyncFunctionDef)}
    for name in filter(is_private, names):
        for base in reversed(getattr(ours, "__mro__", ())):
            package = base.__module__.partition(".")[0]
            if package in NAMES and re.search(rf"\b{name}\b", source_of(base)):
                yield package, f"{base.__name__}.{name}"
                break


@functools.cache
def source_of(theirs: type) -> str:
    return inspect.getsource(theirs)


def test_none_of_aiohttp_is_in_use_where_requests_are_answered() -> None:
    """The listed ones are of its client, on the way to the partner."""
    assert list(used("sidecar/web")) == []
    assert {name.partition(".")[0] for name in NAMES["aiohttp"]} == {"BaseConnector", "ResponseHandler"}


def test_private_names_of_other_objects_are_not_in_use_where_requests_are_answered() -> None:
    """The source does not show the class of such an object, so none is allowed."""
    found = [
        f"{path.name}: {ast.unparse(node)}"
        for path in sorted((ROOT / "sidecar/web").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if is_private_of_another(node)
    ]
    assert found == []


def is_private_of_another(node: ast.AST) -> bool:
    """Return whether this is `other._name`, also by `getattr` and `setattr`."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in ("getattr", "setattr"):
        name = node.args[1]
        return isinstance(name, ast.Constant) and is_private(str(name.value))
    return (
        isinstance(node, ast.Attribute)
        and is_private(node.attr)
        and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls"))
    )


def is_private(name: str) -> bool:
    return re.match(r"_[^_]", name) is not None


@pytest.mark.parametrize(
    ("source", "private"),
    [
        ("request._payload", True), ("self.request._payload", True), ("getattr(x, '_payload')", True),
        ("setattr(x, '_payload', 1)", True), ("self._payload", False), ("request.payload", False),
        ("x.__class__", False),
    ],
)  # fmt: skip
def test_a_private_name_of_another_object_is_detected(source: str, private: bool) -> None:
    assert any(map(is_private_of_another, ast.walk(ast.parse(source)))) == private


@pytest.mark.parametrize("package", NAMES)
def test_a_private_name_in_use_is_listed(package: str) -> None:
    assert {name for owner, name in used() if owner == package} == NAMES[package]


def test_a_package_with_private_names_in_use_has_an_upper_bound() -> None:
    """The bound is the next minor version of aiohttp and the next major one of redis-py, which may change them."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bounds = dict(re.findall(r"^([a-z-]+)>=([0-9.]+,<[0-9.]+)$", "\n".join(project["dependencies"]), re.MULTILINE))
    assert bounds == {"aiohttp": "3.14.4,<3.15", "redis": "8.1,<9"}
