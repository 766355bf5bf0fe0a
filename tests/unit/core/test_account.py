"""Which settings are the same account, and which are not."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from sidecar.core.account import account_named, account_of_key, normal_base_url
from sidecar.core.model import Credentials, Profile, Secret

KEY = "canary-key-4711"
PROFILE = Profile(base_url="https://partner.example", account=account_of_key(KEY))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://h.example", "HTTPS://h.example"),
        ("http://h.example", "HTTP://H.EXAMPLE"),
        ("https://h.example", "https://h.example/"),
        ("https://h.example", "https://h.example///"),
        ("https://h.example/a/b", "https://h.example/a/b/"),
        ("https://h.example", "https://h.example:443"),
        ("https://h.example", "https://h.example:0443/"),
        ("http://h.example", "http://h.example:80"),
        ("https://h.example", "https://h.example:"),
        ("https://h.example", "https://h.example."),
        ("https://h.example:8443", "https://H.example.:8443/"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("https://BÜCHER.example", "https://XN--BCHER-KVA.example"),
        ("https://straße.example", "https://xn--strae-oqa.example"),
        ("https://[2001:db8::1]", "https://[2001:DB8:0:0:0:0:0:1]:443"),
        ("https://h.example/%c3%a4", "https://h.example/%C3%A4"),
        ("https://h.example/ä", "https://h.example/%C3%A4"),
        ("https://h.example/%61%7e", "https://h.example/a~"),
    ],
)
def test_equivalent_base_urls_are_the_same_account(one: str, other: str) -> None:
    assert normal_base_url(one) == normal_base_url(other)
    assert replace(PROFILE, base_url=one).profile_id == replace(PROFILE, base_url=other).profile_id


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("https://h.example", "http://h.example"),
        ("https://h.example", "https://g.example"),
        ("https://h.example", "https://h.example:80"),
        ("http://h.example", "http://h.example:443"),
        ("https://h.example", "https://h.example:8443"),
        ("https://h.example", "https://h.example/a"),
        ("https://h.example/a", "https://h.example/A"),
        ("https://h.example/a/b", "https://h.example/a//b"),
        ("https://h.example/a/b", "https://h.example/a%2Fb"),
        ("https://straße.example", "https://strasse.example"),
        ("http://localhost:1", "http://127.0.0.1:1"),
        ("https://[::1]", "https://[::2]"),
    ],
)
def test_base_urls_that_may_differ_are_two_accounts(one: str, other: str) -> None:
    assert normal_base_url(one) != normal_base_url(other)
    assert replace(PROFILE, base_url=one).profile_id != replace(PROFILE, base_url=other).profile_id


@pytest.mark.parametrize("text", ["", "https://[::1", "https://h:port", "h.example", "https://", "https:///a"])
def test_a_text_that_is_not_a_url_is_unchanged(text: str) -> None:
    assert normal_base_url(text) == text


@pytest.mark.parametrize(
    "change",
    [
        {"partner": "flow1st"},
        {"base_url": "https://other.example"},
        {"role": "OTHER"},
        {"account": account_of_key("another key")},
        {"account": account_named("payments")},
        {"account": ""},
    ],
)
def test_preset_base_url_role_and_account_each_make_another_identity(change: dict[str, str]) -> None:
    assert replace(PROFILE, **change).profile_id != PROFILE.profile_id  # type: ignore[arg-type]  # all four are texts


def test_the_name_and_the_other_settings_of_a_profile_do_not_change_its_account() -> None:
    assert replace(PROFILE, name="other", lifetime_s=60, poll_s=1, fleet_size=3).profile_id == PROFILE.profile_id


def test_the_account_id_contains_the_preset_and_no_part_of_the_key() -> None:
    assert re.fullmatch(r"pay1st-[0-9a-f]{16}", PROFILE.profile_id)
    credentials = Credentials(api_key=Secret(KEY), api_secret=Secret("secret"))
    assert credentials.account == PROFILE.account
    assert re.fullmatch(r"key:[0-9a-f]{32}", credentials.account)


def test_no_account_name_equals_the_account_of_a_key() -> None:
    assert account_named(account_of_key(KEY)) != account_of_key(KEY)
    assert account_named(KEY) != account_of_key(KEY)
