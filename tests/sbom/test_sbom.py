"""The bill of materials has the contents of the lock, is the same each time, and has no address of a download."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import pytest

import sidecar
from tests.sbom import bill as making
from tests.sbom.bill import LOCK, PROJECT, bill
from tests.sbom.lock_graph import locked

TEXT = LOCK.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def text() -> str:
    return bill()


@pytest.fixture(scope="module")
def document(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found


def test_names_versions_and_hashes_are_the_locks(document: dict[str, Any]) -> None:
    pins = re.findall(r"^([a-z0-9-]+)==(\S+)(.*?)(?=^[a-z]|\Z)", TEXT, re.MULTILINE | re.DOTALL)
    locked = {(name, version, frozenset(re.findall("sha256:([0-9a-f]{64})", rest))) for name, version, rest in pins}
    listed = {
        (
            one["name"],
            one["version"],
            frozenset(found["content"] for found in one["hashes"] if found["alg"] == "SHA-256"),
        )
        for one in document["components"]
    }
    assert listed == locked
    assert len(document["components"]) == len(locked) > 10


def test_it_is_of_this_version_of_the_project(document: dict[str, Any]) -> None:
    subject = document["metadata"]["component"]
    assert (subject["name"], subject["version"]) == ("pay1st-token-sidecar", sidecar.__version__)
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")


def test_the_sidecar_depends_on_what_the_project_names(document: dict[str, Any]) -> None:
    named = {re.split(r"[\[><=~!;]", line)[0] for line in tomllib.loads(PROJECT.read_text())["project"]["dependencies"]}
    graph = {one["ref"]: one.get("dependsOn", []) for one in document["dependencies"]}
    direct = graph[document["metadata"]["component"]["bom-ref"]]
    assert {re.sub(r"pkg:pypi/(.+)@.+", r"\1", ref) for ref in direct} == named
    assert {ref for needs in graph.values() for ref in needs} == {one["bom-ref"] for one in document["components"]}


def test_it_has_no_address_and_no_time(text: str) -> None:
    addresses = set(re.findall(r"https?://[^\"]+", text))
    assert addresses == {"http://cyclonedx.org/schema/bom-1.6.schema.json"}
    assert not re.search("timestamp|serialNumber", text)


def test_it_is_the_same_each_time(text: str) -> None:
    assert bill() == text


def test_an_invalid_document_is_not_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(making, "tidied", lambda *_: {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 0})
    with pytest.raises(ValueError, match="not CycloneDX"):
        bill()


def test_the_graph_is_read_from_both_forms_of_the_locks_comments() -> None:
    lines = [
        "a==1 \\",
        "    --hash=sha256:00",
        "    # via b",
        "c==2 ; x < '3' \\",
        "    # via",
        "    #   a",
        "    #   b",
    ]
    found = locked("\n".join(lines))
    assert [(one.name, one.marker, one.needed_by) for one in found.values()] == [
        ("a", "", ["b"]),
        ("c", "x < '3'", ["a", "b"]),
    ]
