"""Partners of the TOML file, and OAuth 2.0 by settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.config.schema import Settings
from sidecar.core.account import account_named
from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Profile
from sidecar.core.partner_table import PartnerTable
from sidecar.partner.presets import PRESETS

CREDENTIALS = {"SIDECAR_API_KEY": "k", "SIDECAR_API_SECRET": "s"}
OAUTH2 = CREDENTIALS | {
    "SIDECAR_PARTNER": "oauth2",
    "SIDECAR_BASE_URL": "https://login.example.com",
    "SIDECAR_TOKEN_PATH": "/oauth2/token",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sidecar.toml"


def loaded(file: Path, text: str, **environ: str) -> Settings:
    file.write_text(text)
    return load(CREDENTIALS | {"SIDECAR_CONFIG": str(file)} | environ, PRESETS)


def refused(file: Path, text: str, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as caught:
        loaded(file, text, **environ)
    return caught.value.problems


def oauth2(**changed: str) -> Profile:
    return load(OAUTH2 | changed, PRESETS).profiles[0].profile


def table_of(environ: dict[str, str]) -> PartnerTable:
    return load(environ, PRESETS).profiles[0].table


WITH_BASIC = " with client_auth = 'basic': remove it, or set client_auth = 'body'"
ACME = 'partner = "acme"\n[partners.acme]\nbase_url = "https://api.acme.example"\ntoken_path = "/v2/session"\n'


def test_a_table_of_the_file_is_a_partner(file: Path) -> None:
    (one,) = loaded(file, ACME).profiles
    assert (one.table.name, one.table.token_path) == ("acme", "/v2/session")
    assert (one.profile.partner, one.profile.base_url) == ("acme", "https://api.acme.example")


def test_the_settings_url_wins_over_that_of_the_table(file: Path) -> None:
    (one,) = loaded(file, ACME, SIDECAR_BASE_URL="https://staging.acme.example").profiles
    assert one.profile.base_url == "https://staging.acme.example"


def test_a_partner_without_a_url_needs_one(file: Path) -> None:
    assert refused(file, 'partner = "acme"\n[partners.acme]\ntoken_path = "/t"\n') == (
        "SIDECAR_BASE_URL is missing: partner acme has no URL of its own, so set that of the server",
    )


def test_the_url_of_a_table_must_be_https_beyond_loopback(file: Path) -> None:
    text = ACME.replace("https://", "http://")
    (problem,) = refused(file, text)
    assert problem.startswith("SIDECAR_BASE_URL must be https:// beyond loopback")
    assert loaded(file, text, SIDECAR_ALLOW_HTTP="true").warnings


def test_every_problem_of_every_table_is_told_with_its_place(file: Path) -> None:
    text = '[partners.acme]\ntoken_pth = "/t"\noauth2 = 1\n[partners.other]\ntoken_path = "/t"\nkey_field = "k"\n'
    assert refused(file, text) == (
        f"token_pth in [partners.acme] of {file} is not a key of a partner; did you mean token_path?",
        f"oauth2 in [partners.acme] of {file} must be true or false",
        f"token_path in [partners.acme] of {file} is missing: the path that issues tokens, such as /v2/session",
        f"key_field in [partners.other] of {file} has no use{WITH_BASIC}",
    )


def test_a_table_with_problems_is_a_partner_still_and_other_problems_are_told_too(file: Path) -> None:
    text = 'partner = "acme"\npoll_s = "x"\n[partners.acme]\ntoken_path = "t"\n'
    first, second = refused(file, text)
    assert first.startswith(f"token_path in [partners.acme] of {file} must be a path")
    assert second.startswith(f"poll_s in {file}")


@pytest.mark.parametrize("name", ["pay1st", "flow1st", "oauth2"])
def test_a_name_that_is_taken_is_refused(file: Path, name: str) -> None:
    (problem,) = refused(file, f'[partners.{name}]\ntoken_path = "/t"\n')
    assert problem == f"[partners.{name}] in {file}: the program has a partner of this name: choose another"


@pytest.mark.parametrize("name", ["Acme", "-acme", "a_b", "a" * 33, '""'])
def test_a_name_has_the_form_of_a_profile_name(file: Path, name: str) -> None:
    (problem,) = refused(file, f'[partners.{name}]\ntoken_path = "/t"\n')
    assert "a name has 1 to 32 of a-z, 0-9 and '-'" in problem


@pytest.mark.parametrize("text", ["partners = 5", "[partners]\nacme = 5"])
def test_partners_are_tables(file: Path, text: str) -> None:
    assert refused(file, text) == (f"partners in {file} must be tables, such as [partners.acme]",)


def test_an_unknown_partner_is_refused_with_the_closest_and_all_known_ones(file: Path) -> None:
    (problem,) = refused(file, ACME.replace('"acme"', '"acm"'))
    assert problem == (
        f"partner in {file} must be pay1st, flow1st, acme or oauth2, or a table [partners.NAME] of the TOML file, "
        "not 'acm'; did you mean acme?"
    )


def test_the_settings_of_oauth2_are_refused_for_other_partners() -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(CREDENTIALS | {"SIDECAR_SCOPE": "a", "SIDECAR_CLIENT_AUTH": "body"}, PRESETS)
    assert [problem.split()[0] for problem in caught.value.problems] == ["SIDECAR_CLIENT_AUTH", "SIDECAR_SCOPE"]


def test_oauth2_is_a_form_with_scope_and_audience() -> None:
    table = table_of(OAUTH2 | {"SIDECAR_SCOPE": "a b", "SIDECAR_AUDIENCE": "https://api.example.com"})
    assert (table.request, table.oauth2, table.client_auth) == ("form", True, "basic")
    assert table.fields == {
        "grant_type": "client_credentials",
        "scope": "a b",
        "audience": "https://api.example.com",
    }
    assert table_of(OAUTH2 | {"SIDECAR_CLIENT_AUTH": "body"}).key_field == "client_id"


def test_oauth2_needs_a_path() -> None:
    with pytest.raises(ConfigurationError, match="SIDECAR_TOKEN_PATH is missing"):
        load(OAUTH2 | {"SIDECAR_TOKEN_PATH": ""}, PRESETS)


@pytest.mark.parametrize("path", ["/o/token/", "/realms/a/protocol/openid-connect/token"])
def test_the_path_of_a_server_may_end_with_a_slash(path: str) -> None:
    assert table_of(OAUTH2 | {"SIDECAR_TOKEN_PATH": path}).token_path == path


def test_an_audience_that_is_too_long_is_a_problem_and_no_crash() -> None:
    with pytest.raises(ConfigurationError, match="partner = oauth2: fields must have printable text"):
        load(OAUTH2 | {"SIDECAR_AUDIENCE": "x" * 5000}, PRESETS)


def test_other_scopes_audiences_and_token_paths_are_other_tokens() -> None:
    profiles = [
        oauth2(),
        oauth2(SIDECAR_SCOPE="a"),
        oauth2(SIDECAR_SCOPE="b"),
        oauth2(SIDECAR_AUDIENCE="a"),
        oauth2(SIDECAR_TOKEN_PATH="/other/token"),
        oauth2(SIDECAR_SCOPE="a", SIDECAR_AUDIENCE="a"),
    ]
    assert len({one.profile_id for one in profiles}) == len(profiles)
    assert oauth2(SIDECAR_SCOPE="a").profile_id == oauth2(SIDECAR_SCOPE="a", SIDECAR_CLIENT_AUTH="body").profile_id


@pytest.mark.parametrize(
    ("partner", "profile_id"), [("pay1st", "pay1st-87811dae4d8bb25a"), ("flow1st", "flow1st-6d5b9516eeaf9542")]
)
def test_the_shipped_partners_keep_the_names_of_their_accounts(partner: str, profile_id: str) -> None:
    """A new name would be a second token and a second budget beside replicas of an earlier release."""
    url = "https://api-gateway.carry1st.com"
    assert Profile(partner=partner, base_url=url, account=account_named("shop")).profile_id == profile_id
    environ = CREDENTIALS | {"SIDECAR_PARTNER": partner, "SIDECAR_ACCOUNT": "shop"}
    assert load(environ, PRESETS).profiles[0].profile.profile_id == profile_id
