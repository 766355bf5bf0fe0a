"""What only a Redis server can have: numbers that JSON has not, and a clock that goes back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.ports import SharedState
from tests.contract.nearness import near
from tests.contract.worlds import (
    LIMIT_S,
    PROFILE,
    RedisWorld,
    a_failure,
    an_ask,
    failed,
    fetched,
    grant_ages_s,
    granted,
)


@pytest.fixture
def shared(redis_world: RedisWorld) -> SharedState:
    return redis_world.store.shared_state(PROFILE)


async def test_a_number_of_a_later_version_that_no_json_has_does_no_harm(
    redis_world: RedisWorld, shared: SharedState
) -> None:
    """cjson reads it, and then cannot write it."""
    before = await failed(shared, FailureKind.TIMEOUT, 20)
    gate: dict[str, Any] = json.loads(redis_world.get("gate"))
    redis_world.put("gate", json.dumps({**gate, "later": float("inf")}).encode())
    claimed = await shared.claim(an_ask())
    assert (claimed.state.damaged, claimed.state.epoch) == ((), before.epoch)


async def test_when_the_clock_goes_back_what_runs_keeps_its_length_and_ends(
    redis_world: RedisWorld, shared: SharedState
) -> None:
    """Moving what is stored into the future is what a server's clock that goes back looks like."""
    token = await fetched(shared)
    await granted(shared, an_ask(known=token.fence))
    await shared.fail(a_failure("r/else", token.fence + 9, FailureKind.THROTTLED, 30, "credentials-1", None))
    redis_world.advance(-3600)
    state = await shared.peek(0)
    assert state.pause is not None
    assert state.pause.left_s == near(30)
    assert state.lease_left_s == near(LIMIT_S)
    assert grant_ages_s(state) == near((0, 0))
    redis_world.advance(10)
    state = await shared.peek(0)
    assert state.pause is not None
    assert state.pause.left_s == near(20), "looking was enough to start the clock again"
