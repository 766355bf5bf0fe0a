"""The generator's output, made ready for a release: with hashes where tools look for them, and without addresses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from tests.sbom.lock_graph import Locked

Json: TypeAlias = dict[str, Any]


def tidied(document: Json, packages: Mapping[str, Locked], version: str) -> Json:
    """Return the bill without the addresses that the generator guesses, with the graph of the lock.

    A component's hashes are those of all files it may be installed from.
    """
    root = dict(document["metadata"]["component"], version=version)
    root["purl"] = root["bom-ref"] = f"pkg:pypi/{root['name']}@{version}"
    components = [_component(one, packages[one["name"]]) for one in document["components"]]
    refs = {one["name"]: one["bom-ref"] for one in [root, *components]}
    tools = [_named(tool) for tool in document["metadata"]["tools"]["components"]]
    return {
        **{key: document[key] for key in ("$schema", "bomFormat", "specVersion", "version")},
        "metadata": {**document["metadata"], "component": root, "tools": {"components": tools}},
        "components": components,
        "dependencies": [_needs(name, ref, refs, packages) for name, ref in sorted(refs.items())],
    }


def _component(one: Json, package: Locked) -> Json:
    hashes = [found for reference in one["externalReferences"] for found in reference["hashes"]]
    found = {"bom-ref": one["purl"], **_named(one), "purl": one["purl"], "hashes": hashes}
    if package.marker:
        found["properties"] = [{"name": "token-sidecar:installed-if", "value": package.marker}]
    return found


def _named(one: Json) -> Json:
    return {key: one[key] for key in ("type", "name", "version")}


def _needs(name: str, ref: str, refs: Mapping[str, str], packages: Mapping[str, Locked]) -> Json:
    needed = sorted(refs[other.name] for other in packages.values() if name in other.needed_by)
    return {"ref": ref, "dependsOn": needed} if needed else {"ref": ref}
