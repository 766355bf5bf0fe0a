"""The steps of deploy/README.md, done as written."""

from __future__ import annotations

import base64
import copy
import re
import shutil
import subprocess
import textwrap
from pathlib import Path

import certifi

from sidecar.config.load import load
from sidecar.partner.presets import PRESETS
from tests.kustomize.mounting import Mounted
from tests.kustomize.rendering import (
    EXAMPLES,
    KUSTOMIZE,
    SECRETS,
    Manifest,
    environment_of,
    render,
    sidecar_of,
    write_overlay,
)
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


def test_the_patch_of_the_steps_sets_up_the_gateway_on_loopback(tmp_path: Path) -> None:
    shutil.copytree(KUSTOMIZE, tmp_path / "token-sidecar")
    shutil.copy(KUSTOMIZE / "examples/deployment/deployment.yaml", tmp_path)
    steps = block_with("components:\n")
    (tmp_path / "kustomization.yaml").write_text(steps)
    (before,) = render(tmp_path)
    patched = tmp_path / "patched"
    patched.mkdir()
    for name in ("token-sidecar", "deployment.yaml"):
        (tmp_path / name).rename(patched / name)
    (patched / "kustomization.yaml").write_text(f"{steps}{block_with('SIDECAR_GATEWAY_LISTEN')}")
    (after,) = render(patched)
    sidecar_of(before)["resources"]["limits"]["memory"] = "192Mi"
    assert _by_name(after) == _by_name(before, SIDECAR_GATEWAY_LISTEN="127.0.0.1:8282")


def test_the_gateway_of_the_steps_is_accepted_from_the_environment_and_from_the_file(tmp_path: Path) -> None:
    """With the files of the example's Secrets and a signing key."""
    secrets = {
        "token-sidecar-credentials": {**SECRETS["token-sidecar-credentials"], "signing-key": "a-signing-key"},
        "token-sidecar-store": {**SECRETS["token-sidecar-store"], "ca.crt": Path(certifi.where()).read_text()},
    }
    line = re.search(r'`(gateway_listen = "[^`]*")`', README)
    assert line is not None
    in_file = secrets["token-sidecar-store"] | {
        "sidecar.toml": f"{secrets['token-sidecar-store']['sidecar.toml']}{line[1]}\n"
    }
    (workload,) = render(EXAMPLES["deployment"])
    by_variable = Mounted(workload, sidecar_of(workload), tmp_path / "variable", secrets).environment
    by_variable["SIDECAR_GATEWAY_LISTEN"] = "127.0.0.1:8282"
    by_file = Mounted(
        workload, sidecar_of(workload), tmp_path / "file", {**secrets, "token-sidecar-store": in_file}
    ).environment
    for environment in (by_variable, by_file):
        settings = load(environment, PRESETS)
        (profile,) = settings.profiles
        assert settings.warnings == ()
        assert profile.gateway is not None
        assert [str(address) for address in profile.gateway.listen] == ["127.0.0.1:8282"]


def _by_name(manifest: Manifest, **more: str) -> Manifest:
    """Return a copy with the sidecar's environment, and more of it, as a mapping."""
    copied = copy.deepcopy(manifest)
    sidecar = sidecar_of(copied)
    sidecar["env"] = environment_of(sidecar) | more
    return copied


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
