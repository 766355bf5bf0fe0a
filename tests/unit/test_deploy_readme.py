"""What deploy/README.md tells people to type, against what the project really needs."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

from sidecar.stores.link import LEAST_RIGHTS

ROOT = Path(__file__).parents[2]
README = (ROOT / "deploy/README.md").read_text()
SECRETS = {
    secret["metadata"]["name"]: set(secret["stringData"])
    for secret in yaml.safe_load_all((ROOT / "deploy/kubernetes/secrets.example.yaml").read_text())
}


def test_the_acl_gives_the_rights_the_store_needs() -> None:
    assert f"ACL SETUSER token-sidecar on >PASSWORD {LEAST_RIGHTS}\n" in README


def test_the_commands_make_the_secrets_of_the_example() -> None:
    made = {
        name: set(re.findall(r"--from-file=(\S+)", rest))
        for name, rest in re.findall(r"kubectl create secret generic (\S+)(.*)", README)
    }
    assert made == SECRETS


def test_every_file_it_points_to_is_there() -> None:
    pointed = re.findall(r"`((?:docker|kubernetes|prometheus|demo|\.\.)/[^`]*)`", README)
    assert pointed
    assert [path for path in pointed if not (ROOT / "deploy" / path).exists()] == []
