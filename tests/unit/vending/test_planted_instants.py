"""A replica keeps the age of its held token, whatever instants are written to the store afterwards."""

from __future__ import annotations

from dataclasses import replace

import pytest

from sidecar.core.model import Lifetime, Profile, Secret, Token, token_id_of
from sidecar.core.shared_state import State
from sidecar.vending.replica_state import ReplicaState
from tests.support.hand_clock import HandClock

NOW = 1_000_000.0
AGE_S = 700
TOKEN = Token(
    access=Secret("access"), token_id=token_id_of(Secret("access")), role="API_USER", fence=7, issued_at=NOW - AGE_S,
    lifetime_s=900, lifetime=Lifetime.DECLARED, credentials_id="pair-1",
)  # fmt: skip
STATE = State(now=NOW, epoch="e", fence=7, token=TOKEN, token_fence=7, token_id=TOKEN.token_id)


@pytest.mark.parametrize("planted_at", [0.0, NOW, NOW + 1e6, 9e10])
def test_another_instant_of_a_held_token_is_ignored(planted_at: float) -> None:
    clock = HandClock()
    replica = ReplicaState(Profile(base_url="https://partner.test"), clock)
    replica.store_time.follow(STATE.now, clock.monotonic())
    assert replica.follow(STATE, clock.monotonic())
    born = replica.born
    assert not replica.follow(replace(STATE, token=replace(TOKEN, issued_at=planted_at)), born + AGE_S)
    assert (replica.born, replica.token) == (born, TOKEN)
