"""Several partners in one pod, as deploy/README.md says: its settings and its patch as written, rendered and loaded."""

from __future__ import annotations

import copy
import shutil
from pathlib import Path

import certifi
import pytest

from sidecar.config.load import load
from sidecar.config.schema import Settings
from sidecar.core.errors import ConfigurationError
from sidecar.credentials.directory import DirectoryCredentials
from sidecar.partner.presets import PRESETS
from tests.kustomize.mounting import Mounted
from tests.kustomize.rendering import KUSTOMIZE, SECRETS, Manifest, environment_of, pod_of, render, sidecar_of
from tests.kustomize.test_readme_steps import block_with
from tests.support.three_partners import PARTNERS, TABLES

TABLES_OF_THE_GUIDE = block_with("[profiles.cards]\n")
PATCH = block_with("SIDECAR_CREDENTIALS_DIR, $patch: delete")
STORE = SECRETS["token-sidecar-store"]
STORE_WITH_TABLES = {
    **STORE,
    "ca.crt": Path(certifi.where()).read_text(encoding="ascii"),
    "sidecar.toml": STORE["sidecar.toml"] + TABLES_OF_THE_GUIDE,
}


def secrets() -> dict[str, dict[str, str]]:
    """Return what the commands of the guide put into the Secrets, with other credentials in each."""
    found: dict[str, dict[str, str]] = {"token-sidecar-store": STORE_WITH_TABLES}
    for line in block_with("token-sidecar-ledger --from-file").splitlines():
        name = line.split()[4]
        files = [argument.partition("=")[2] for argument in line.split() if argument.startswith("--from-file")]
        found[name] = {file: f"{file} of {name}" for file in files}
    return found


@pytest.fixture
def deployment(tmp_path: Path) -> Manifest:
    """The Deployment of the example, rendered with the steps and the patch of the guide."""
    shutil.copytree(KUSTOMIZE, tmp_path / "token-sidecar")
    shutil.copy(KUSTOMIZE / "examples/deployment/deployment.yaml", tmp_path)
    (tmp_path / "kustomization.yaml").write_text(block_with("components:\n") + PATCH)
    (rendered,) = render(tmp_path)
    return rendered


def loaded(deployment: Manifest, root: Path) -> Settings:
    return load(Mounted(deployment, sidecar_of(deployment), root, secrets()).environment, PRESETS)


def test_each_profile_has_the_partner_and_the_credentials_of_the_guide(deployment: Manifest, tmp_path: Path) -> None:
    settings = loaded(deployment, tmp_path / "root")
    assert settings.warnings == ()
    assert {one.profile.name: one.profile.partner for one in settings.profiles} == PARTNERS
    for one in settings.profiles:
        assert one.credentials_dir is not None
        credentials = DirectoryCredentials(one.credentials_dir).read()
        assert credentials.api_key.reveal() == f"api-key of token-sidecar-{one.profile.name}"
        assert (credentials.signing_key is not None) == (one.table.sign is not None)
        assert one.table.header == TABLES[one.profile.name].header
    assert [one.profile.base_url for one in settings.profiles][1:] == [
        "https://login.ledger.example",
        "https://api.acme.example",
    ]


def test_the_patch_changes_nothing_but_the_credentials(deployment: Manifest, tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    for name in ("token-sidecar", "deployment.yaml"):
        (tmp_path / name).rename(plain / name)
    (plain / "kustomization.yaml").write_text(block_with("components:\n"))
    (before,) = render(plain)
    assert environment_of(sidecar_of(before)).keys() - environment_of(sidecar_of(deployment)).keys() == {
        "SIDECAR_CREDENTIALS_DIR"
    }
    places = {mount["mountPath"] for mount in sidecar_of(deployment)["volumeMounts"]}
    assert places == {f"/etc/token-sidecar/{name}" for name in (*PARTNERS, "store")}
    assert all(mount["readOnly"] for mount in sidecar_of(deployment)["volumeMounts"])
    (app,) = pod_of(deployment)["containers"]
    assert "volumeMounts" not in app
    assert _without_credentials(before) == _without_credentials(deployment)


def test_without_the_patch_the_directory_of_the_component_is_refused(tmp_path: Path) -> None:
    (plain,) = render(KUSTOMIZE / "examples/deployment")
    mounted = {**secrets(), "token-sidecar-credentials": SECRETS["token-sidecar-credentials"]}
    environment = Mounted(plain, sidecar_of(plain), tmp_path, mounted).environment
    with pytest.raises(ConfigurationError, match="SIDECAR_CREDENTIALS_DIR would be the same for all 3 profiles"):
        load(environment, PRESETS)


def _without_credentials(manifest: Manifest) -> Manifest:
    copied = copy.deepcopy(manifest)
    sidecar, pod = sidecar_of(copied), pod_of(copied)
    sidecar["env"] = [entry for entry in sidecar["env"] if entry["name"] != "SIDECAR_CREDENTIALS_DIR"]
    sidecar["volumeMounts"] = [mount for mount in sidecar["volumeMounts"] if "credentials" not in mount["name"]]
    pod["volumes"] = [volume for volume in pod["volumes"] if "credentials" not in volume["name"]]
    return copied
