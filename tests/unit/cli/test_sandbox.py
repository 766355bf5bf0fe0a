"""The configuration that results from the options of `token-sidecar sandbox`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import pytest

from sidecar.cli.main import _parser
from sidecar.cli.sandbox import _config
from sidecar.core.errors import ConfigurationError
from sidecar.core.model import Budget, Secret
from sidecar.partner.presets import PRESETS
from sidecar.sandbox import SandboxConfig

DEFAULT = SandboxConfig(
    api_key=Secret("demo-api-key"), api_secret=Secret("demo-api-secret"), signing_key=Secret("demo-signing-key")
)


def config(*options: str, environ: Mapping[str, str] | None = None) -> SandboxConfig:
    return _config(_parser(()).parse_args(["sandbox", *options]), environ or {})


def test_without_options_it_is_the_documented_partner_with_demo_credentials() -> None:
    assert config() == DEFAULT


@pytest.mark.parametrize(
    ("options", "changed"),
    [
        (["--api-key", "k"], {"api_key": Secret("k")}),
        (["--api-secret", "s"], {"api_secret": Secret("s")}),
        (["--signing-key", "s"], {"signing_key": Secret("s")}),
        (["--rate", "2/60"], {"limit": Budget(2, 60)}),
        (["--token-lifetime", "60"], {"token_lifetime_s": 60}),
        (["--retry-after", "date"], {"retry_after": "date"}),
        (["--revoke-previous"], {"revoke_previous": True}),
        (["--revoke-on-grant"], {"revoke_on_grant": True}),
        (["--revoke-on-refresh"], {"revoke_on_refresh": True}),
        (["--refresh-reuse", "end-family"], {"refresh_reuse": "end-family"}),
        (["--refresh-reuse", "accept"], {"refresh_reuse": "accept"}),
        (["--same-token"], {"same_token": True}),
        (["--declare-lifetime"], {"declares_lifetime": True}),
        (["--role", "ADMIN"], {"role": "ADMIN"}),
        (["--partner", "flow1st"], {"partners": (PRESETS["flow1st"],)}),
        (["--latency", "1.5"], {"latency_s": 1.5}),
        (["--signed-requests", "all"], {"signed_requests": "all"}),
        (["--signed-requests", "none"], {"signed_requests": "none"}),
        (["--timestamp-of", "token"], {"timestamp_of": "token"}),
        (["--timestamp-tolerance", "10"], {"timestamp_tolerance_s": 10}),
        (["--clock-offset", "600"], {"clock_offset_s": 600}),
        (["--clock-offset", "-600.5"], {"clock_offset_s": -600.5}),
        (["--no-date"], {"sends_date": False}),
        (["--control-beyond-loopback"], {"control_beyond_loopback": True}),
    ],
    ids=" ".join,
)
def test_each_option_changes_one_property(options: list[str], changed: dict[str, object]) -> None:
    actual = config(*options)
    assert {name: value for name, value in fields(actual).items() if value != fields(DEFAULT)[name]} == changed


def fields(config: SandboxConfig) -> dict[str, object]:
    return {name: getattr(config, name) for name in asdict(config)}


@pytest.mark.parametrize(
    "options",
    [["--clock-offset", "1e3"], ["--clock-offset", "--1"], ["--clock-offset", "nan"], ["--timestamp-tolerance", "-1"]],
    ids=" ".join,
)
def test_an_invalid_number_is_refused(options: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        config(*options)
    assert (caught.value.code, options[0] in capsys.readouterr().err) == (2, True)


def test_oauth2_is_made_of_its_settings_and_declares_the_lifetime() -> None:
    environ = {"SIDECAR_TOKEN_PATH": "/oauth2/token", "SIDECAR_SCOPE": "a b", "SIDECAR_CLIENT_AUTH": "body"}
    made = config("--partner", "oauth2", environ=environ)
    (table,) = made.partners
    assert (table.token_path, table.fields["scope"], table.client_auth) == ("/oauth2/token", "a b", "body")
    assert made.declares_lifetime


def test_oauth2_may_be_described_in_the_only_profile_of_the_file(tmp_path: Path) -> None:
    (file := tmp_path / "sidecar.toml").write_text('[profiles.a]\npartner = "oauth2"\ntoken_path = "/o/token/"\n')
    made = config("--partner", "oauth2", environ={"SIDECAR_CONFIG": str(file)})
    assert made.partners[0].token_path == "/o/token/"


def test_a_table_of_the_file_is_a_partner_whatever_else_is_wrong_in_the_file(tmp_path: Path) -> None:
    text = 'poll = 1\nrole = "MERCHANT"\n[partners.acme]\ntoken_path = "/token"\n'
    (file := tmp_path / "sidecar.toml").write_text(text)
    made = config("--partner", "acme", environ={"SIDECAR_CONFIG": str(file)})
    assert ([one.name for one in made.partners], made.declares_lifetime, made.role) == (["acme"], False, "MERCHANT")
    assert config("--partner", "acme", "--role", "A", environ={"SIDECAR_CONFIG": str(file)}).role == "A"


@pytest.mark.parametrize(
    ("name", "text", "problem"),
    [
        ("acm", '[partners.acme]\ntoken_path = "/t"\n', "there is no partner 'acm': .*did you mean acme"),
        ("acme", "[partners.acme]\n", r"token_path in \[partners.acme\] of .* is missing"),
        ("acme", "[", "is not TOML"),
        ("oauth2", "", "SIDECAR_TOKEN_PATH is missing"),
        ("oauth2", 'token_path = "/t"\nclient_auth = "private_key_jwt"', "--credentials-dir is missing"),
    ],
)
def test_a_partner_that_cannot_be_simulated_is_refused(tmp_path: Path, name: str, text: str, problem: str) -> None:
    (file := tmp_path / "sidecar.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=problem):
        config("--partner", name, environ={"SIDECAR_CONFIG": str(file)})


@pytest.mark.parametrize(("text", "key"), [("file-signing-key\n", Secret("file-signing-key")), (None, None)])
def test_a_directory_of_credentials_may_hold_the_signing_key(
    tmp_path: Path, text: str | None, key: Secret | None
) -> None:
    for name, content in (("api-key", "k"), ("api-secret", "s"), ("signing-key", text)):
        if content is not None:
            (tmp_path / name).write_text(content)
    assert config("--credentials-dir", str(tmp_path)).signing_key == key
