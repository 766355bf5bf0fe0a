"""Several profiles in one file, and the account of each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.test_file import file_problems, from_file

TWO = '[profiles.a]\ncredentials_dir = "/a"\n{a}\n[profiles.b]\ncredentials_dir = "/b"\n{b}\n'
ONE = TWO.replace('"/b"', '"/a"')
KEYS = '[profiles.a]\napi_key = "k"\napi_secret = "1"\n{a}\n[profiles.b]\napi_key = "k"\napi_secret = "2"\n{b}\n'
TABLES = "each table of /sidecar.toml instead, [profiles.a], [profiles.b]"
NAMED = TWO.replace("{a}", 'account = "x"\n{a}').replace("{b}", 'account = "x"\n{b}')


@pytest.mark.parametrize("text", [ONE, KEYS, NAMED])
def test_two_profiles_may_have_one_account(tmp_path: Path, text: str) -> None:
    assert from_file(tmp_path, text.format(a="", b="refresh_at = 0.7")).warnings == ()


@pytest.mark.parametrize("text", [ONE, KEYS, NAMED])
@pytest.mark.parametrize(("setting", "value"), [("call_budget", '"2/60"'), ("token_lifetime_s", "600")])
def test_profiles_of_one_account_must_have_the_same_account_settings(
    tmp_path: Path, text: str, setting: str, value: str
) -> None:
    assert file_problems(tmp_path, text.format(a=f"{setting} = {value}", b="")) == [
        f"profiles a and b are one account, with one token and one budget: give both the same {setting}"
    ]


def test_equivalent_base_urls_are_one_account(tmp_path: Path) -> None:
    text = NAMED.format(
        a='base_url = "https://h.example"\ncall_budget = "2/60"', b='base_url = "HTTPS://H.example:443/"'
    )
    assert len(file_problems(tmp_path, text)) == 1


def test_two_accounts_may_differ_in_everything(tmp_path: Path) -> None:
    assert from_file(tmp_path, TWO.format(a='call_budget = "9/60"\ntoken_lifetime_s = 600', b="")).warnings == ()


@pytest.mark.parametrize("text", [ONE, KEYS])
@pytest.mark.parametrize("change", ['role = "OTHER"', 'account = "x"'])
def test_the_same_credentials_in_two_namespaces_are_a_warning(tmp_path: Path, text: str, change: str) -> None:
    (warning,) = from_file(tmp_path, text.format(a=change, b="")).warnings
    assert warning == (
        "profiles a and b have the same credentials, but another role, preset or account: each spends a budget of its "
        "own, and may end the other's token"
    )


def test_one_account_name_for_all_of_several_profiles_is_refused(tmp_path: Path) -> None:
    expected = f"would be the same for all 2 profiles: set account in {TABLES}"
    text = TWO.format(a="", b="")
    assert file_problems(tmp_path, text, SIDECAR_ACCOUNT="x") == [f"SIDECAR_ACCOUNT {expected}"]
    assert file_problems(tmp_path, f'account = "x"\n{text}') == [f"account in /sidecar.toml {expected}"]
    assert (
        from_file(tmp_path, '[profiles.a]\ncredentials_dir = "/a"\n', SIDECAR_ACCOUNT="x").profiles[0].profile.account
    )


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("base_url", "https://one.example"),
        ("partner", "flow1st"),
        ("role", "OTHER"),
        ("credentials_dir", "/other"),
        ("api_key", "of-one"),
        ("api_secret", "of-one"),
        ("account", "of-one"),
    ],
)
@pytest.mark.parametrize("in_table", [True, False])
def test_a_setting_of_one_account_in_the_environment_beside_several_tables_is_refused_with_both_places(
    tmp_path: Path, key: str, value: str, in_table: bool
) -> None:
    """It would override the tables: one account's key and secret would be sent to the other's partner."""
    text = TWO.format(a=f'{key} = "of-a"' if in_table and key != "credentials_dir" else "", b="")
    name = f"SIDECAR_{key.upper()}"
    problems = file_problems(tmp_path, text, **{name: value})
    assert f"{name} would be the same for all 2 profiles: set {key} in {TABLES}" in problems


def test_preset_base_url_and_role_above_the_tables_are_defaults_that_a_table_overrides(tmp_path: Path) -> None:
    text = 'partner = "flow1st"\nbase_url = "https://all"\nrole = "R"\n' + TWO.format(a='base_url = "https://a"', b="")
    settings = from_file(tmp_path, text)
    assert settings.warnings == ()
    assert [one.profile.base_url for one in settings.profiles] == ["https://a", "https://all"]


ALONE = '[profiles.a]\ncredentials_dir = "/a"\nbase_url = "https://a"\n'


def test_the_environment_overrides_a_single_table_with_a_warning_that_names_both_places(tmp_path: Path) -> None:
    settings = from_file(tmp_path, ALONE, SIDECAR_BASE_URL="https://other")
    assert [one.profile.base_url for one in settings.profiles] == ["https://other"]
    place = f"base_url in [profiles.a] of {tmp_path}/sidecar.toml"
    assert settings.warnings == (f"SIDECAR_BASE_URL wins over {place}: keep one of the two",)
    assert from_file(tmp_path, ALONE, SIDECAR_BASE_URL="https://a").warnings == ()
    assert from_file(tmp_path, ALONE, SIDECAR_ROLE="OTHER").warnings == ()


def test_an_empty_account_in_the_file_is_a_problem_too(tmp_path: Path) -> None:
    (problem,) = file_problems(tmp_path, TWO.format(a='account = ""', b=""))
    assert problem.startswith("account in [profiles.a] of /sidecar.toml must be 1 to 128 printable characters")
