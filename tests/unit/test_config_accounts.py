"""Several profiles in one file, and whose account each of them is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.test_config_file import file_problems, from_file

TWO = '[profiles.a]\ncredentials_dir = "/a"\n{a}\n[profiles.b]\ncredentials_dir = "/b"\n{b}\n'
ONE = TWO.replace('"/b"', '"/a"')
KEYS = '[profiles.a]\napi_key = "k"\napi_secret = "1"\n{a}\n[profiles.b]\napi_key = "k"\napi_secret = "2"\n{b}\n'
NAMED = TWO.replace("{a}", 'account = "x"\n{a}').replace("{b}", 'account = "x"\n{b}')


@pytest.mark.parametrize("text", [ONE, KEYS, NAMED])
def test_one_account_under_two_names_is_no_problem(tmp_path: Path, text: str) -> None:
    assert from_file(tmp_path, text.format(a="", b="refresh_at = 0.7")).warnings == ()


@pytest.mark.parametrize("text", [ONE, KEYS, NAMED])
@pytest.mark.parametrize(("setting", "value"), [("call_budget", '"2/60"'), ("token_lifetime_s", "600")])
def test_but_what_belongs_to_the_account_has_to_be_the_same_for_both(
    tmp_path: Path, text: str, setting: str, value: str
) -> None:
    assert file_problems(tmp_path, text.format(a=f"{setting} = {value}", b="")) == [
        f"profiles a and b are one account, with one token and one budget: give both the same {setting}"
    ]


def test_base_urls_that_mean_the_same_are_seen_through(tmp_path: Path) -> None:
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
    said = "would be the same for all 2 profiles: set it in each table"
    text = TWO.format(a="", b="")
    assert file_problems(tmp_path, text, SIDECAR_ACCOUNT="x") == [f"SIDECAR_ACCOUNT {said}"]
    assert file_problems(tmp_path, f'account = "x"\n{text}') == [f"account in /sidecar.toml {said}"]
    assert (
        from_file(tmp_path, '[profiles.a]\ncredentials_dir = "/a"\n', SIDECAR_ACCOUNT="x").profiles[0].profile.account
    )


def test_an_empty_account_in_the_file_is_a_problem_too(tmp_path: Path) -> None:
    (problem,) = file_problems(tmp_path, TWO.format(a='account = ""', b=""))
    assert problem.startswith("account in [profiles.a] of /sidecar.toml must be 1 to 128 printable characters")
