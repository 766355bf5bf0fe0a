"""Several profiles with different partners: each problem is reported once, at the place where it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.config.test_file import file_problems, from_file

PAYMENTS = '[profiles.payments]\ncredentials_dir = "/payments"\n'
LEDGER = (
    '[profiles.ledger]\npartner = "oauth2"\nbase_url = "https://ledger.example"\ntoken_path = "/token"\n'
    'credentials_dir = "/ledger"\n'
)
CARDS = '[profiles.cards]\npartner = "acme"\ncredentials_dir = "/cards"\n'
ACME = '[partners.acme]\nbase_url = "https://acme.example"\ntoken_path = "/v2/session"\n'
ALL = PAYMENTS + LEDGER + CARDS + ACME
TABLES = "[profiles.payments], [profiles.ledger], [profiles.cards]"


def test_each_profile_has_its_own_partner(tmp_path: Path) -> None:
    settings = from_file(tmp_path, ALL)
    assert settings.warnings == ()
    assert [(one.profile.partner, one.profile.base_url) for one in settings.profiles] == [
        ("pay1st", "https://pay1st.example"),
        ("oauth2", "https://ledger.example"),
        ("acme", "https://acme.example"),
    ]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("partner", "oauth2"),
        ("base_url", "https://one.example"),
        ("role", "OTHER"),
        ("account", "one"),
        ("api_key", "a-key"),
        ("gateway_listen", "127.0.0.1:8282"),
    ],
)
def test_a_setting_of_one_account_in_the_environment_is_one_problem(tmp_path: Path, key: str, value: str) -> None:
    name = f"SIDECAR_{key.upper()}"
    expected = (
        f"{name} would be the same for all 3 profiles: set {key} in each table of /sidecar.toml instead, {TABLES}"
    )
    assert file_problems(tmp_path, ALL, **{name: value}) == [expected]


@pytest.mark.parametrize("key", ["token_path", "client_auth", "scope", "audience"])
def test_an_oauth2_setting_outside_the_tables_belongs_into_those_of_that_partner(tmp_path: Path, key: str) -> None:
    """Not into each table, and no other profile is advised to become one of `oauth2`."""
    value = {"client_auth": "body"}.get(key, "/x")
    (problem,) = file_problems(tmp_path, ALL, **{f"SIDECAR_{key.upper()}": value})
    assert problem == (
        f"SIDECAR_{key.upper()} would be the same for all 3 profiles: set {key} in the tables of /sidecar.toml with "
        "partner = oauth2 instead"
    )
    (problem,) = file_problems(tmp_path, f'{key} = "{value}"\n{ALL}')
    assert problem == (
        f"{key} in /sidecar.toml is for partner = oauth2 only, and would hold for payments, cards too: set it in the "
        "tables with that partner instead"
    )


def test_an_oauth2_setting_above_the_tables_is_a_default_where_all_have_that_partner(tmp_path: Path) -> None:
    others = LEDGER.replace("ledger", "other").replace('token_path = "/token"\n', "")
    settings = from_file(tmp_path, f'token_path = "/all"\nscope = "a b"\n{LEDGER}{others}')
    assert [(one.table.token_path, one.table.fields["scope"]) for one in settings.profiles] == [
        ("/token", "a b"),
        ("/all", "a b"),
    ]


@pytest.mark.parametrize(("profile", "text"), [("payments", PAYMENTS), ("cards", CARDS)])
def test_an_oauth2_setting_in_the_table_of_another_partner_is_a_problem_of_that_table(
    tmp_path: Path, profile: str, text: str
) -> None:
    place = f"in [profiles.{profile}] of /sidecar.toml"
    origin = f"partner {place}"
    assert file_problems(tmp_path, ALL.replace(text, text + 'scope = "a"\n')) == [
        f"scope {place} is for partner = oauth2 only: remove it, or set {origin} to oauth2"
    ]


@pytest.mark.parametrize(
    ("written", "meant", "known"),
    [
        ("acne", "acme", "pay1st, flow1st, acme or oauth2"),
        ("oauth", "oauth2", "pay1st, flow1st, acme or oauth2"),
        ("pay1", "pay1st", "pay1st, flow1st, acme or oauth2"),
    ],
)
def test_an_unknown_partner_is_one_problem_with_the_name_that_was_meant(
    tmp_path: Path, written: str, meant: str, known: str
) -> None:
    """Settings of the partner that was meant are no further problem."""
    text = ALL.replace('partner = "oauth2"', f'partner = "{written}"')
    (problem,) = file_problems(tmp_path, text)
    assert problem == (
        f"partner in [profiles.ledger] of /sidecar.toml must be {known}, or a table [partners.NAME] of the TOML file, "
        f"not {written!r}; did you mean {meant}?"
    )


def test_a_partner_whose_name_is_taken_is_listed_once(tmp_path: Path) -> None:
    taken, unknown = file_problems(tmp_path, ALL.replace("[partners.acme]", "[partners.oauth2]"))
    assert taken == "[partners.oauth2] in /sidecar.toml: the program has a partner of this name: choose another"
    assert "must be pay1st, flow1st or oauth2, or a table" in unknown


def test_a_base_url_above_the_tables_is_refused_where_it_would_hold_for_different_partners(tmp_path: Path) -> None:
    """Key and secret of `acme` would be sent to the server of `pay1st`."""
    above = 'base_url = "https://staging.example"\n'
    (problem,) = file_problems(tmp_path, above + ALL)
    assert problem == (
        "base_url in /sidecar.toml would be the same for different partners, payments (pay1st), cards (acme): set it "
        "in their tables instead"
    )
    own = CARDS + 'base_url = "https://acme-staging.example"\n'
    settings = from_file(tmp_path, above + ALL.replace(CARDS, own))
    assert [one.profile.base_url for one in settings.profiles] == [
        "https://staging.example",
        "https://ledger.example",
        "https://acme-staging.example",
    ]
    same_partner = PAYMENTS + CARDS.replace("acme", "pay1st")
    assert [one.profile.base_url for one in from_file(tmp_path, above + same_partner).profiles] == [
        "https://staging.example"
    ] * 2


def test_the_same_credentials_for_different_partners_are_a_warning(tmp_path: Path) -> None:
    (warning,) = from_file(tmp_path, ALL.replace('"/cards"', '"/payments"')).warnings
    assert warning == (
        "profiles payments and cards have the same credentials, and their partners are pay1st and acme: each of them "
        "gets the key and the secret of the other"
    )


def test_a_role_is_kept_for_a_partner_that_takes_one_and_is_a_warning_for_another(tmp_path: Path) -> None:
    settings = from_file(tmp_path, f'role = "MERCHANT"\n{ALL}')
    assert settings.warnings == ()
    assert [one.profile.role for one in settings.profiles] == ["MERCHANT", "", ""]
    (warning,) = from_file(tmp_path, ALL.replace(LEDGER, LEDGER + 'role = "MERCHANT"\n')).warnings
    assert warning.startswith("role in [profiles.ledger] of")
    assert warning.endswith(" has no use: a request for a token of partner oauth2 has no role")
    (warning,) = from_file(tmp_path, LEDGER, SIDECAR_ROLE="MERCHANT").warnings
    assert warning.startswith("SIDECAR_ROLE has no use")


def test_problems_of_a_partner_and_of_its_profile_are_both_found(tmp_path: Path) -> None:
    text = ALL.replace(CARDS, CARDS + "refresh_at = 2\n") + 'acess_field = "token"\n'
    problems = file_problems(tmp_path, text)
    assert [problem.split(" of /sidecar.toml")[0] for problem in problems] == [
        "acess_field in [partners.acme]",
        "refresh_at in [profiles.cards]",
    ]
