"""The settings of `SIDECAR_PARTNER=oauth2`: what becomes of them, and combinations that cannot work."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.core.errors import ConfigurationError
from sidecar.core.partner_table import PartnerTable
from tests.unit.config.test_load import PRESETS

CREDENTIALS = {"SIDECAR_API_KEY": "client:1", "SIDECAR_API_SECRET": "secret"}
SERVER = {
    "SIDECAR_PARTNER": "oauth2",
    "SIDECAR_BASE_URL": "https://server.example",
    "SIDECAR_TOKEN_PATH": "/oauth2/token",
}


def mounted(folder: Path) -> dict[str, str]:
    return {"SIDECAR_CREDENTIALS_DIR": str(folder)}


def table(settings: dict[str, str]) -> PartnerTable:
    return load(SERVER | settings, PRESETS).profiles[0].table


def problems(settings: dict[str, str]) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        load(settings, PRESETS)
    return tuple(caught.value.problems)


def test_scope_and_audience_are_fields_of_the_request() -> None:
    given = table(CREDENTIALS | {"SIDECAR_SCOPE": "payments refunds", "SIDECAR_AUDIENCE": "https://api.example"})
    assert given.fields == {
        "grant_type": "client_credentials", "scope": "payments refunds", "audience": "https://api.example",
    }  # fmt: skip
    assert (given.token_path, given.client_auth, given.request, given.oauth2) == (
        "/oauth2/token", "basic", "form", True,
    )  # fmt: skip


@pytest.mark.parametrize("audience", ["", "https://issuer.example/"])
def test_an_assertion_names_the_server_that_the_setting_names(tmp_path: Path, audience: str) -> None:
    settings = mounted(tmp_path) | {"SIDECAR_CLIENT_AUTH": "private_key_jwt", "SIDECAR_ASSERTION_AUDIENCE": audience}
    assert table(settings).assertion_audience == audience


@pytest.mark.parametrize("auth", ["basic", "body"])
def test_without_an_assertion_its_audience_is_refused(auth: str) -> None:
    given = SERVER | CREDENTIALS | {"SIDECAR_CLIENT_AUTH": auth, "SIDECAR_ASSERTION_AUDIENCE": "https://issuer.example"}
    assert problems(given) == (
        "SIDECAR_ASSERTION_AUDIENCE has a use with client_auth = private_key_jwt only: remove it",
    )


def test_other_partners_take_none_of_these_settings() -> None:
    found = problems(CREDENTIALS | {"SIDECAR_API_KEY": "key", "SIDECAR_ASSERTION_AUDIENCE": "https://issuer.example"})
    assert found == (
        "SIDECAR_ASSERTION_AUDIENCE is for partner = oauth2 only: remove it, or set SIDECAR_PARTNER to oauth2",
    )


@pytest.mark.parametrize("auth", ["basic", "body"])
def test_a_client_id_may_have_a_colon(auth: str) -> None:
    """RFC 6749 section 2.3.1: it is form-encoded, also in HTTP Basic."""
    loaded = load(SERVER | CREDENTIALS | {"SIDECAR_CLIENT_AUTH": auth}, PRESETS).profiles[0]
    assert loaded.credentials is not None
    assert loaded.credentials.api_key.reveal() == "client:1"
    assert loaded.table.key_may_have_colon


def test_a_key_for_plain_http_basic_may_have_none() -> None:
    assert problems(CREDENTIALS) == ("SIDECAR_API_KEY must not contain a colon: HTTP Basic cannot carry it",)


def test_a_private_key_is_read_from_a_file_alone() -> None:
    (problem,) = problems(SERVER | CREDENTIALS | {"SIDECAR_CLIENT_AUTH": "private_key_jwt"})
    assert "authenticates with a private key: set SIDECAR_CREDENTIALS_DIR to a directory" in problem


def test_a_missing_key_file_is_told_with_all_other_problems(tmp_path: Path) -> None:
    from sidecar.app.settings_files import problems_with_files

    (tmp_path / "api-key").write_text("client:1")
    given = SERVER | mounted(tmp_path) | {"SIDECAR_CLIENT_AUTH": "private_key_jwt"}
    assert problems_with_files(load(given, PRESETS)) == [
        f"profile default: {tmp_path}/private-key: no such file",
    ]
