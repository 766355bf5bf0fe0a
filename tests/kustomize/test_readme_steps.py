"""The steps of deploy/README.md, done as written."""

from __future__ import annotations

import base64
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

from tests.kustomize.rendering import KUSTOMIZE, SECRETS, render, sidecar_of, write_overlay
from tests.kustomize.workloads import workload

README = (KUSTOMIZE.parent / "README.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    """Return the indented blocks, each with its lines without the indent."""
    return [textwrap.dedent(block) for block in re.findall(r"(?<=\n\n)((?: {4,}\S.*\n(?: {4,}.*\n)*))", README)]


def block_with(text: str) -> str:
    (found,) = (block for block in blocks() if text in block)
    return found


def typed(text: str, folder: Path) -> None:
    """Run the commands of the block with this text, except those that need a cluster."""
    commands = [line for line in block_with(text).splitlines() if not line.startswith("kubectl ")]
    subprocess.run(["bash", "-euc", "\n".join(commands)], cwd=folder, check=True)


def test_the_kustomization_of_the_steps_adds_the_sidecar(tmp_path: Path) -> None:
    write_overlay(tmp_path, [], [workload("Deployment")])
    (tmp_path / "0.json").rename(tmp_path / "deployment.yaml")
    shutil.copytree(KUSTOMIZE, tmp_path / "token-sidecar")
    (tmp_path / "kustomization.yaml").write_text(block_with("components:\n"))
    (deployment,) = render(tmp_path)
    assert sidecar_of(deployment)["image"].startswith("registry.example.internal/pay1st-token-sidecar:")


def test_the_commands_write_the_files_of_the_store(tmp_path: Path) -> None:
    typed("> sidecar.toml", tmp_path)
    assert (tmp_path / "sidecar.toml").read_text() == SECRETS["token-sidecar-store"]["sidecar.toml"]
    key_id, key = (tmp_path / "seal-keys").read_text().split(":")
    assert re.fullmatch(r"20\d\d-\d\d", key_id)
    assert len(base64.b64decode(key, validate=False)) == 32


def test_the_commands_write_the_users_of_redis(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a-password\n")
    typed("> users.acl", tmp_path)
    expected = SECRETS["token-redis-acl"]["users.acl"].replace("REPLACE-WITH-THE-PASSWORD", "a-password")
    assert (tmp_path / "users.acl").read_text() == expected
