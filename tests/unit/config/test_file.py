"""The TOML file: its values, its tables of profiles, and its possible problems."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from sidecar.config.load import load
from sidecar.config.schema import Settings
from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Address, Budget
from tests.unit.config.test_load import CANARY, CREDENTIALS, PRESETS, problems


def from_file(tmp_path: Path, text: str, **environ: str) -> Settings:
    path = tmp_path / "sidecar.toml"
    path.write_text(text, encoding="utf-8")
    return load({"SIDECAR_CONFIG": str(path)} | environ, PRESETS)


def file_problems(tmp_path: Path, text: str, **environ: str) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        from_file(tmp_path, text, **environ)
    return [problem.replace(str(tmp_path), "") for problem in caught.value.problems]


def test_a_problem_of_a_value_that_all_profiles_inherit_is_reported_once(tmp_path: Path) -> None:
    text = 'role = "a b"\n[profiles.a]\ncredentials_dir = "/a"\n[profiles.b]\ncredentials_dir = "/b"\n'
    assert len(file_problems(tmp_path, text)) == 1


def test_the_environment_overrides_values_of_the_file(tmp_path: Path) -> None:
    text = """
        poll_s = 1
        fleet_size = 3
        listen = ["127.0.0.1:1", "unix:/a"]
        require_header = false
        api_key = "k"
        api_secret = "s"
    """
    settings = from_file(tmp_path, text, SIDECAR_POLL_S="0.5")
    profile = settings.profiles[0].profile
    assert (profile.poll_s, profile.fleet_size, settings.require_header) == (0.5, 3, False)
    assert settings.listen == (Address("127.0.0.1", 1), Address(path="/a"))


def test_profiles_use_their_own_value_then_that_of_the_file_then_the_default(tmp_path: Path) -> None:
    text = """
        role = "SHARED"
        [profiles.a]
        credentials_dir = "/a"
        token_lifetime_s = 600
        [profiles.b]
        credentials_dir = "/b"
        partner = "flow1st"
        role = "OWN"
        call_budget = "2/60"
    """
    a, b = from_file(tmp_path, text).profiles
    assert (a.profile.name, a.profile.role, a.profile.lifetime_s, a.credentials_dir) == ("a", "SHARED", 600, Path("/a"))
    assert (b.profile.name, b.profile.role, b.profile.lifetime_s) == ("b", "OWN", 900)
    assert (b.profile.base_url, b.profile.budget) == ("https://flow1st.example", Budget(2, 60))


def test_the_environment_overrides_every_profile(tmp_path: Path) -> None:
    text = '[profiles.a]\ncredentials_dir = "/a"\ntoken_lifetime_s = 700\n[profiles.b]\ncredentials_dir = "/b"\n'
    settings = from_file(tmp_path, text, SIDECAR_TOKEN_LIFETIME_S="600")
    assert {one.profile.lifetime_s for one in settings.profiles} == {600}


def test_each_profile_may_have_a_token_file_of_its_own(tmp_path: Path) -> None:
    text = '[profiles.a]\ncredentials_dir = "/a"\nsink_file = "/run/a"\n[profiles.b]\ncredentials_dir = "/b"\n'
    settings = from_file(tmp_path, text)
    assert [one.sink_file for one in settings.profiles] == [Path("/run/a"), None]
    expected = "profiles a and b would keep their tokens in one file, /run/a: set another sink_file in each table"
    assert file_problems(tmp_path, f'{text}sink_file = "/run/a"\n') == [expected]
    assert file_problems(tmp_path, 'sink_file = "/run/a"\n' + text.replace('sink_file = "/run/a"\n[', "[")) == [
        expected
    ]


def test_credentials_for_all_of_several_profiles_are_refused(tmp_path: Path) -> None:
    text = 'credentials_dir = "/all"\n[profiles.a]\n[profiles.b]\n'
    (problem,) = file_problems(tmp_path, text)
    assert problem.startswith("credentials_dir in /sidecar.toml would be the same for all 2 profiles: set credentials")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("poll = 1", "poll in /sidecar.toml is not a setting; did you mean poll_s?"),
        ("SIDECAR_ROLE = 'x'", "SIDECAR_ROLE in /sidecar.toml is not a setting; did you mean role?"),
        ("[profile.a]\nrole = 'x'", "profile in /sidecar.toml is not a setting; did you mean profiles?"),
        ("config = 'x'", "config in /sidecar.toml is not a setting"),
        ("[profiles.a]\nrolle = 'x'", "rolle in [profiles.a] of /sidecar.toml is not a setting; did you mean role?"),
        (
            "[profiles.a]\npoll_s = 1",
            "poll_s in [profiles.a] of /sidecar.toml is the same for all profiles: move it above the tables",
        ),
        ("profiles = 1", "profiles in /sidecar.toml must be tables, such as [profiles.default]"),
        ("poll_s = 1979-05-27", "poll_s in /sidecar.toml must be text, a number, true, false or a list of texts"),
        ("poll_s = nan", "poll_s in /sidecar.toml must be a number of seconds from 0.05 to 60, not 'nan'"),
        ("poll_s = -1", "poll_s in /sidecar.toml must be a number of seconds from 0.05 to 60, not '-1'"),
        ("a = [[1], 2]\npoll_s = [[1]]", "poll_s in /sidecar.toml must be text, a number, true, false or a list"),
        ("poll_s = 0x1" + "0" * 4000, "poll_s in /sidecar.toml must be text, a number, true, false or a list of texts"),
        ("poll_s = 1" + "0" * 5000, "SIDECAR_CONFIG: /sidecar.toml is not TOML: it does not parse"),
        ("poll_s = " + "[" * 2000, "SIDECAR_CONFIG: /sidecar.toml is not TOML: it does not parse"),
        (f"api_key = {CANARY}", "SIDECAR_CONFIG: /sidecar.toml is not TOML: look at line 1, column 11"),
    ],
)
def test_each_problem_of_the_file_is_named(tmp_path: Path, text: str, problem: str) -> None:
    found = file_problems(tmp_path, text, **CREDENTIALS)
    assert any(line.startswith(problem) for line in found), found
    assert CANARY not in "\n".join(found)


@pytest.mark.parametrize("name", ["rejected", "A", "-a", "a_b", "a" * 33, '""'])
def test_a_profile_name_that_cannot_be_in_a_path_is_refused(tmp_path: Path, name: str) -> None:
    found = file_problems(tmp_path, f"[profiles.{name}]\ncredentials_dir = '/c'\n")
    assert "a name has 1 to 32 of a-z, 0-9 and '-'" in found[0]


def test_problems_of_the_file_are_reported_with_the_files_keys(tmp_path: Path) -> None:
    text = "[profiles.a]\ntoken_lifetime_s = 12\nrefresh_at = 0.1\npartner_timeout_s = 10\n"
    place = "in [profiles.a] of /sidecar.toml"
    lease, _, credentials = file_problems(tmp_path, text)
    assert lease.endswith(f"lower partner_timeout_s {place} or raise token_lifetime_s {place}")
    assert credentials == (
        f"profile a has no credentials: set credentials_dir {place} to a directory with files api-key and api-secret, "
        f"or for development api_key {place} and api_secret {place}"
    )


def test_a_file_that_is_not_there_is_the_only_problem() -> None:
    """Its values are unknown, so missing credentials and seal keys are not reported: the file may name them."""
    with pytest.raises(ConfigurationError) as caught:
        load({"SIDECAR_CONFIG": "/nowhere.toml", "SIDECAR_STORE": "redis://r"}, PRESETS)
    assert caught.value.problems == ("SIDECAR_CONFIG: /nowhere.toml: no such file",)


def test_credentials_have_the_name_of_their_setting(tmp_path: Path) -> None:
    text = '[profiles.a]\ncredentials_dir = "/a"\n[profiles.b]\napi_key = "k"\napi_secret = "s"\n'
    origins = [one.credentials_origin.replace(str(tmp_path), "") for one in from_file(tmp_path, text).profiles]
    assert origins == ["credentials_dir in [profiles.a] of /sidecar.toml", "api_key in [profiles.b] of /sidecar.toml"]


def test_a_byte_order_mark_and_windows_line_ends_are_no_part_of_the_file(tmp_path: Path) -> None:
    text = '\ufeffapi_key = "k"\r\napi_secret = "s"\r\n'
    assert from_file(tmp_path, text).profiles[0].credentials is not None


def test_only_a_regular_file_of_limited_size_is_read(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.toml"
    os.mkfifo(path)
    assert problems(CONFIG=str(path)) == [f"SIDECAR_CONFIG: {path}: not a regular file"]
    path.unlink()
    path.write_text("#" * (1024 * 1024 + 1))
    assert problems(CONFIG=str(path)) == [f"SIDECAR_CONFIG: {path}: longer than 1048576 bytes"]


def test_a_file_that_is_not_utf8_is_a_problem(tmp_path: Path) -> None:
    path = tmp_path / "sidecar.toml"
    path.write_bytes(b"role = '\xff'")
    assert problems(CONFIG=str(path)) == [f"SIDECAR_CONFIG: {path}: not UTF-8"]
