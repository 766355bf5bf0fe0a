"""A sandbox's account: tokens that a new one revokes, and refresh tokens that are used twice."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.model import Secret
from sidecar.sandbox.account import Account, Issued
from sidecar.sandbox.config import SandboxConfig
from tests.support.hand_clock import HandClock

CONFIG = SandboxConfig(api_key=Secret("key"), api_secret=Secret("secret"))


def account(**fields: object) -> Account:
    return Account(replace(CONFIG, **fields), HandClock())  # type: ignore[arg-type]


def refreshed(account: Account, issued: Issued) -> Issued:
    again = account.refresh(issued.refresh)
    assert again is not None
    return again


@pytest.mark.parametrize(
    ("fields", "after_grant", "after_refresh"),
    [
        ({}, True, True),
        ({"revoke_previous": True}, False, False),
        ({"revoke_on_grant": True}, False, True),
        ({"revoke_on_refresh": True}, True, False),
        ({"revoke_on_grant": True, "revoke_on_refresh": True}, False, False),
    ],
)
def test_the_tokens_that_a_new_one_revokes_can_be_set(
    fields: dict[str, object], after_grant: bool, after_refresh: bool
) -> None:
    granting, refreshing = account(**fields), account(**fields)
    first, other = granting.grant(), refreshing.grant()
    second, extended = granting.grant(), refreshed(refreshing, other)
    assert (granting.accepts(first.access), granting.accepts(second.access)) == (after_grant, True)
    assert (refreshing.accepts(other.access), refreshing.accepts(extended.access)) == (after_refresh, True)


def test_a_refresh_token_that_was_used_is_refused_and_ends_nothing() -> None:
    one = account()
    first = one.grant()
    second = refreshed(one, first)
    assert one.refresh(first.refresh) is None
    assert one.accepts(first.access)
    assert one.accepts(second.access)
    refreshed(one, second)


def test_a_refresh_token_can_stay_valid() -> None:
    one = account(refresh_reuse="accept")
    first = one.grant()
    assert refreshed(one, first).access != refreshed(one, first).access


def test_a_refresh_token_used_twice_can_end_every_token_of_its_grant_and_no_other() -> None:
    one = account(refresh_reuse="end-family")
    first, other = one.grant(), one.grant()
    second = refreshed(one, first)
    third = refreshed(one, second)
    assert one.refresh(first.refresh) is None
    assert not any(one.accepts(each.access) for each in (first, second, third))
    assert one.refresh(third.refresh) is None
    assert one.accepts(other.access)
    refreshed(one, other)


@pytest.mark.parametrize("reuse", ["refuse", "end-family", "accept"])
def test_an_unknown_refresh_token_is_refused_and_ends_nothing(reuse: str) -> None:
    one = account(refresh_reuse=reuse)
    issued = one.grant()
    assert one.refresh("unknown") is None
    assert one.accepts(issued.access)


def test_the_age_of_a_token_counts_from_its_issue() -> None:
    clock = HandClock()
    one = Account(CONFIG, clock)
    issued = one.grant()
    clock.now += 1000
    assert one.age_s(issued.access) == 1000
    assert one.age_s("unknown") is None
