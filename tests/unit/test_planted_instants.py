"""A replica that holds a token knows how old it is; what somebody writes beside it in the store changes nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.model import Lifetime, Profile, Secret, Token, token_id_of
from sidecar.core.shared import State
from sidecar.vending.view import View
from tests.fakes.hand_clock import HandClock

NOW = 1_000_000.0
AGE_S = 700
NEAR_S = 1
TOKEN = Token(
    access=Secret("access"), token_id=token_id_of(Secret("access")), role="API_USER", fence=7, issued_at=NOW - AGE_S,
    lifetime_s=900, lifetime=Lifetime.DECLARED, credentials_id="pair-1",
)  # fmt: skip
STATE = State(
    now=NOW, epoch="e", fence=7, token=TOKEN, token_fence=7, token_id=TOKEN.token_id, token_issued_at=TOKEN.issued_at
)


@pytest.fixture
def view() -> View:
    """One that has just adopted the token."""
    clock = HandClock()
    view = View(Profile(base_url="https://partner.test"), clock)
    view.store_time.follow(STATE.now, clock.monotonic())
    assert view.follow(STATE, clock.monotonic())
    return view


@pytest.mark.parametrize("planted_at", [NOW, NOW + 1e6, 9e10])
def test_a_later_instant_makes_a_held_token_neither_younger_nor_look_so(view: View, planted_at: float) -> None:
    born = view.born
    view.follow(replace(STATE, token=None, token_issued_at=planted_at), born + AGE_S)
    assert view.born == born
    assert view.token is not None
    assert view.token.expires_at <= NOW - AGE_S + 900 + NEAR_S


def test_what_the_store_says_is_shown_where_it_can_be_true(view: View) -> None:
    """So that all replicas show the same."""
    view.follow(replace(STATE, token=None, token_issued_at=NOW - AGE_S - 0.25), view.born + AGE_S)
    assert view.token is not None
    assert view.token.issued_at == NOW - AGE_S - 0.25
