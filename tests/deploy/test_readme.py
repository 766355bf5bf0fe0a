"""The commands and names in deploy/README.md are those that the project needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from sidecar.core.store_url import OPTIONS, Topology
from sidecar.stores.redis.probe import CLUSTER_RIGHTS, LEAST_RIGHTS, SENTINEL_RIGHTS

ROOT = Path(__file__).parents[2]
README = (ROOT / "deploy/README.md").read_text()
SECRETS = {
    secret["metadata"]["name"]: set(secret["stringData"])
    for secret in yaml.safe_load_all((ROOT / "deploy/kustomize/examples/secrets.example.yaml").read_text())
    if secret["type"] == "Opaque"
}


@pytest.mark.parametrize("rights", [LEAST_RIGHTS, CLUSTER_RIGHTS, SENTINEL_RIGHTS])
def test_the_acl_gives_the_rights_the_store_needs(rights: str) -> None:
    assert f"ACL SETUSER token-sidecar on >PASSWORD {rights}\n" in README


def test_the_readme_states_the_same_rights() -> None:
    readme = " ".join((ROOT / "README.md").read_text().split())
    for rights in (LEAST_RIGHTS, CLUSTER_RIGHTS, SENTINEL_RIGHTS):
        assert all(re.search(rf"[` ]{re.escape(right)}[` ;]", readme) for right in rights.split() if right[0] in "~+")


def test_it_names_every_option_and_every_scheme_of_the_stores_url() -> None:
    assert all(f"`{option}=" in README or f"?{option}=" in README for option in OPTIONS)
    assert all(f"{topology}://" in README for topology in Topology)


def test_it_names_every_component_and_every_example_for_kubernetes() -> None:
    folders = {path.parent for path in (ROOT / "deploy/kustomize").glob("*/*/kustomization.yaml")}
    assert set(re.findall(r"`(kustomize/\w+/[\w-]+)`", README)) == {
        str(folder.relative_to(ROOT / "deploy")) for folder in folders
    }


def test_the_commands_make_the_secrets_of_the_example() -> None:
    """Those of several partners are in tests/kustomize/test_several_partners.py."""
    before, _, after = README.partition("### Several partners in one pod\n")
    made = {
        name: set(re.findall(r"--from-file=(\S+)", rest))
        for name, rest in re.findall(r"kubectl create secret generic (\S+)(.*)", before + after.partition("\n## ")[2])
    }
    assert made == SECRETS


def test_every_file_it_names_exists() -> None:
    pointed = re.findall(r"`((?:docker|grafana|kustomize|prometheus|systemd|demo|examples|\.\.)/[^`]*)`", README)
    assert pointed
    assert [path for path in pointed if not (ROOT / "deploy" / path).exists()] == []


def test_it_lists_every_example() -> None:
    assert set(re.findall(r"`examples/([\w.]+)`", README)) == {
        path.name for path in (ROOT / "deploy/examples").iterdir()
    }
