"""Values and combinations that are refused, and the texts of their problems."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.config.load import load
from sidecar.config.schema import SETTINGS
from sidecar.config.settings import Setting
from sidecar.core.errors import ConfigurationError
from tests.unit.config.test_load import CANARY, CREDENTIALS, PRESETS, loaded, problems

BY_KEY: dict[str, Setting[Any]] = {setting.key: setting for setting in SETTINGS}


@pytest.mark.parametrize(
    ("key", "text"),
    [
        *[("poll_s", text) for text in ("0", "61", "nan", "inf", "-1", "1e1", "1_0", "٣", "1s", "0x1", "1,5")],
        *[("request_timeout_s", text) for text in ("0", "301")],
        *[("fleet_size", text) for text in ("0", "1.5", "10001", "9" * 5000)],
        *[("call_budget", text) for text in ("6", "0/60", "6/0", "6/", "/60", "1.5/60", "1001/60", "6/60/2")],
        *[("refresh_at", text) for text in ("0", "1", "nan")],
        *[("require_header", text) for text in ("1", "yes", "on")],
        *[("seal", text) for text in ("true", "0")],
        *[("log_level", text) for text in ("trace", "in fo")],
        *[("allowed_uids", text) for text in ("root", "-1", "1,1", ",")],
        *[("allowed_hosts", text) for text in ("http://a", "*", "a b", "a/b")],
        *[
            ("listen", text)
            for text in (
                "8181",
                ":",
                ":x",
                "a:",
                "a:65536",
                "::1:8181",
                "[127.0.0.1]:1",
                "unix:a",
                "a b:1",
                "unix:@",
                "unix:@\u00e9",
            )
        ],
        *[
            ("listen", text)
            for text in (
                "unix:/run/",
                f"unix:/{'a' * 103}",
                f"unix:@{'a' * 103}",
                "127.0.0.1:1,127.0.0.1:1",
                "[fe80::1:1",
            )
        ],
        *[("listen", text) for text in ("unix:/a\x00b", "unix:/\udc80", "unix:/a\nb")],
        *[(key, "/a\x00b") for key in ("seal_key_file", "credentials_dir", "caller_token_file")],
        *[("base_url", text) for text in ("api.example.com", "ftp://a", "https://", "https://a?q=1", "https://a#f")],
        *[("base_url", text) for text in ("https://a b", "https://a:b", "https://[::1", "https://u:p@a")],
        *[("account", text) for text in ("", "x" * 129, "a\nb", "a\x00b", "\udc80", "a\u2028b")],
        *[("role", text) for text in ("a b", '"', "x" * 65)],
        *[("api_key", text) for text in ("a\nb", "a\x00b")],
        *[("store", text) for text in ("redis:", "http://a", "redis://", "unix://a", "redis://a/x", "redis://a:b")],
        *[("store", text) for text in ("sqlite:", "sqlite://", "sqlite:///", "sqlite:state.db", "sqlite://state.db")],
        *[
            ("store", text)
            for text in ("sqlite://host/state.db", "sqlite:///a?mode=ro", "sqlite:///a#b", "sqlite:///a/")
        ],
        *[("store", text) for text in ("sqlite:///a%00b", "sqlite:///a\nb", "sqlite://:1/a")],
        *[("store", text) for text in ("redis+sentinel://a:1,b:2", "redis+cluster://a:1,b:2/1", "memory")],
    ],
)
def test_an_invalid_value_is_refused_with_the_valid_form(key: str, text: str) -> None:
    with pytest.raises(ValueError, match=r"^must "):
        BY_KEY[key].parse(text)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("store", "unix:///run/redis.sock"),
        ("store", "redis://user:p%40ss@redis.internal"),
        ("store", "sqlite:///var/lib/token-sidecar/state.db"),
        ("store", "sqlite:////var/lib/token-sidecar/state.db"),
        ("store", "redis+sentinel://a:1,b:2/main/0"),
        ("store", "rediss+cluster://a:1,b:2"),
        ("base_url", "http://127.0.0.1:8080"),
        ("account", "Zahlungen (Übersee) / 2"),
        ("account", "x" * 128),
        ("listen", "localhost:0"),
        ("listen", "unix:/run/a.sock"),
        ("listen", "unix:@sidecar"),
        ("call_budget", "1/0.5"),
        ("max_stale_s", "0"),
        ("allowed_hosts", "[::1]:8181"),
    ],
)
def test_a_valid_value_is_accepted(key: str, text: str) -> None:
    assert BY_KEY[key].parse(text) is not None


@pytest.mark.parametrize(
    ("variables", "arithmetic"),
    [
        (
            {"TOKEN_LIFETIME_S": "12", "REFRESH_AT": "0.1"},
            ["a lease lasts 12 s (partner timeout 10 + 2 x store timeout 0.5 + 1)", "token lifetime of 12 s"],
        ),
        ({"REFRESH_AT": "0.99"}, ["900 s x 0.99 = 891 s is not before", "900 - 15 = 885 s"]),
        (
            {"TOKEN_LIFETIME_S": "100", "REFRESH_AT": "0.8"},
            ["a refresh at 85 s", "+ partner timeout 10 = 95 s is past the usable life 90 s"],
        ),
        (
            {"TOKEN_LIFETIME_S": "60", "EXPIRY_MARGIN_S": "60", "REFRESH_AT": "0.5"},
            ["the expiry margin of 60 s is not below the token lifetime of 60 s"],
        ),
    ],
)
def test_incompatible_times_are_refused_with_the_arithmetic(variables: dict[str, str], arithmetic: list[str]) -> None:
    found = problems(**variables)
    assert any(all(part in line for part in arithmetic) for line in found), found


def test_short_lived_tokens_need_no_setting_of_the_margin() -> None:
    """The default margin of 15 s shrinks to a tenth of the lifetime."""
    assert loaded(TOKEN_LIFETIME_S="10", PARTNER_TIMEOUT_S="0.5", CALL_BUDGET="10/60").warnings == ()


def test_a_combination_with_an_unreadable_value_is_not_checked() -> None:
    assert problems(TOKEN_LIFETIME_S="10", PARTNER_TIMEOUT_S="soon") == [
        "SIDECAR_PARTNER_TIMEOUT_S must be a number of seconds from 0.1 to 120, not 'soon'"
    ]


def test_the_defaults_leave_time_for_a_call_before_the_end() -> None:
    """765 s at the latest + 10 s of call, well before 885 s: no problem and no warning."""
    assert loaded().warnings == ()


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        (
            {"CALL_BUDGET": "4/3600"},
            "the call budget of 4 in 3600 s is below what the tokens need: one call each 900 s x 0.8 = 720 s makes 5",
        ),
        ({"EXPIRY_MARGIN_S": "100"}, "the expiry margin of 100 s counts as 90 s, a tenth"),
        ({"STORE": "redis://r", "SEAL": "off"}, "SIDECAR_SEAL is off: tokens are stored unencrypted"),
        (
            {"STORE": "redis://r", "SEAL": "off", "SEAL_KEY_FILE": "/k"},
            "SIDECAR_SEAL_KEY_FILE is not used while SIDECAR_SEAL is off",
        ),
        ({"BASE_URL": "HTTP://partner", "ALLOW_HTTP": "true"}, "the partner is called without TLS"),
        ({"BASE_URL": "http://partner", "ALLOW_HTTP": "true"}, "the partner is called without TLS"),
    ],
)
def test_a_valid_but_risky_combination_is_a_warning(variables: dict[str, str], expected: str) -> None:
    assert any(expected in warning for warning in loaded(**variables).warnings)


def test_a_budget_that_just_suffices_is_no_warning() -> None:
    assert loaded(CALL_BUDGET="5/3600").warnings == ()


def test_an_empty_account_does_not_count_as_unset() -> None:
    """Otherwise it would silently select another account than the intended one."""
    for empty in ("", "  "):
        (problem,) = problems(ACCOUNT=empty)
        assert problem.startswith("SIDECAR_ACCOUNT must be 1 to 128 printable characters")


def test_two_unicode_forms_of_an_account_name_are_one_account() -> None:
    composed, combining = "caf\u00e9", "cafe\u0301"
    assert composed != combining
    assert loaded(ACCOUNT=composed).profiles == loaded(ACCOUNT=combining).profiles


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "localhost", "[::1]", "a.localhost"])
def test_http_is_accepted_for_loopback(host: str) -> None:
    assert loaded(BASE_URL=f"http://{host}:8080").profiles[0].profile.base_url == f"http://{host}:8080"


@pytest.mark.parametrize("host", ["partner.example", "10.0.0.1", "localhost.example", "127.0.0.1.example"])
def test_http_beyond_loopback_is_refused(host: str) -> None:
    for scheme in ("http", "HTTP", "Http"):
        (problem,) = problems(BASE_URL=f"{scheme}://{host}")
        assert problem.startswith("SIDECAR_BASE_URL must be https:// beyond loopback")


@pytest.mark.parametrize("where", ["0.0.0.0:8181", "[::]:8181", ":8181", "10.0.0.1:8181", "pod.internal:8181"])
def test_listening_beyond_loopback_requires_a_caller_token(where: str) -> None:
    (problem,) = problems(LISTEN=where)
    assert f"listens beyond loopback on {where}" in problem
    assert loaded(LISTEN=where, CALLER_TOKEN_FILE="/t").listen


def test_proxies_are_served_only_where_they_are_authenticated() -> None:
    (problem,) = problems(FORWARD_AUTH="on")
    assert problem.startswith("SIDECAR_FORWARD_AUTH accepts forwarded requests")
    assert "set SIDECAR_CALLER_TOKEN_FILE, or listen on a unix socket (SIDECAR_LISTEN)" in problem
    assert loaded(FORWARD_AUTH="on", CALLER_TOKEN_FILE="/t").forward_auth
    assert loaded(FORWARD_AUTH="on", LISTEN="127.0.0.1:1,unix:/run/a.sock").forward_auth
    assert not loaded(FORWARD_AUTH="off").forward_auth


@pytest.mark.parametrize("where", ["127.0.0.1:1", "[::1]:1", "localhost:1", "unix:/run/a.sock", "unix:@a"])
def test_local_listeners_require_no_caller_token(where: str) -> None:
    assert loaded(LISTEN=where).caller_token_file is None


def test_the_admin_listener_may_have_any_address_but_that_of_the_vending_listener() -> None:
    assert loaded(ADMIN_LISTEN="0.0.0.0:9181").admin_listen
    (problem,) = problems(ADMIN_LISTEN="127.0.0.1:8181")
    assert "both name 127.0.0.1:8181" in problem
    assert loaded(LISTEN="127.0.0.1:0", ADMIN_LISTEN="127.0.0.1:0").listen


@pytest.mark.parametrize("store", ["redis://r", "sqlite:///state.db"])
def test_a_store_that_others_can_read_requires_seal_keys(store: str) -> None:
    (problem,) = problems(STORE=store)
    assert problem.startswith("SIDECAR_STORE needs SIDECAR_SEAL_KEY_FILE")
    assert loaded(STORE=store, SEAL_KEY_FILE="/k").seal
    assert "tokens are stored unencrypted" in loaded(STORE=store, SEAL="off").warnings[0]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({}, "profile default has no credentials: set SIDECAR_CREDENTIALS_DIR"),
        (CREDENTIALS | {"SIDECAR_CREDENTIALS_DIR": "/c"}, "keep one of the two sources of credentials"),
        ({"SIDECAR_API_KEY": CANARY}, "SIDECAR_API_KEY needs SIDECAR_API_SECRET beside it"),
        ({"SIDECAR_API_SECRET": CANARY}, "SIDECAR_API_SECRET needs SIDECAR_API_KEY beside it"),
    ],
)
def test_credentials_come_from_exactly_one_place(variables: dict[str, str], expected: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        load(variables, PRESETS)
    (problem,) = caught.value.problems
    assert expected in problem
    assert CANARY not in problem


def test_an_unknown_partner_is_refused_with_the_known_ones() -> None:
    known = "pay1st, flow1st or oauth2, or a table [partners.NAME] of the TOML file"
    assert problems(PARTNER="pay2st") == [f"SIDECAR_PARTNER must be {known}, not 'pay2st'; did you mean pay1st?"]


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"IDLE_S": "9999999"}, "a number of seconds from 0 to 2678400, not"),
        ({"REFRESH_AT": "80"}, "a fraction from 0.1 to 0.99, not '80'"),
        ({"LISTEN": "127.0.0.1:1 127.0.0.1:2"}, "several are comma separated, not"),
        ({"ALLOWED_HOSTS": "a b"}, "several are comma separated"),
    ],
)
def test_numbers_are_written_plainly_and_forms_are_named(variables: dict[str, str], expected: str) -> None:
    assert any(expected in line for line in problems(**variables)), problems(**variables)


def test_no_secret_is_in_problems_errors_or_repr() -> None:
    """The canary is in each place that may hold a secret, once in a valid value and once in an invalid one."""
    readable = loaded(STORE=f"redis://:{CANARY}@r", SEAL="off")
    assert CANARY not in repr(readable)
    with pytest.raises(ConfigurationError) as caught:
        loaded(
            STORE=f"http://:{CANARY}@r",
            BASE_URL=f"https://u:{CANARY}@a",
            API_KEY=f"{CANARY}:x",
            API_SECRET=f"{CANARY}\n",
            API_SECRETS=CANARY,
        )
    assert len(caught.value.problems) >= 4
    assert CANARY not in f"{caught.value!r}{caught.value}"


def test_no_setting_looks_like_a_name_that_kubernetes_sets() -> None:
    """Otherwise a Service could set it."""
    assert not [name for name in BY_KEY if name.endswith(("_host", "_port", "_addr", "_proto", "_tcp"))]
