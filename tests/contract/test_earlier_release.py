"""During an update from the first release its token, cool-down and permits count, under the keys of now."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.model import Token
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import Adopt, CoolingDown, Granted, OverBudget
from sidecar.stores.redis.earlier_release import earlier_profile_id
from tests.contract.nearness import near
from tests.contract.worlds import PROFILE, SEALER, RedisWorld, a_token, an_ask, grant_ages_s

EARLIER = earlier_profile_id(PROFILE)
TOKEN = a_token(1_767_225_600_001)


@pytest.fixture
def world(redis_world: RedisWorld) -> RedisWorld:
    return redis_world


@pytest.fixture
def shared(world: RedisWorld) -> SharedState:
    return world.store.shared_state(PROFILE)


def leave_token(world: RedisWorld, token: Token = TOKEN) -> None:
    """As that release wrote it."""
    payload = {
        "access": token.access.reveal(), "refresh": token.refresh and token.refresh.reveal(), "role": token.role,
        "lifetime": token.lifetime, "lifetime_s": token.lifetime_s, "credentials_id": token.credentials_id,
        "issued_ms": round(token.issued_at * 1000),
    }  # fmt: skip
    sealed = SEALER.seal(json.dumps(payload).encode(), f"{EARLIER}:{token.fence}")
    document = {"fence": token.fence, "id": token.token_id, "issued_ms": 1, "sealed": sealed}
    world.server.command("SET", f"pts:{{{EARLIER}}}:token", json.dumps(document))


def leave_gate(world: RedisWorld, **changes: object) -> int:
    """The same, with some of its fields changed; the server's milliseconds."""
    seconds, microseconds = world.server.command("TIME")
    now_ms = int(seconds) * 1000 + int(microseconds) // 1000
    gate: dict[str, Any] = {
        "epoch": "0123456789abcdef", "born_ms": now_ms, "lost": False, "fence": TOKEN.fence, "failed_nonce": "",
        "refused": {}, "proven": [TOKEN.credentials_id], "grants_ms": [now_ms], "rejected_id": "",
        "rejected_age_ms": 0, "confirmed_id": "", "refresh_dropped": 0, "learned_s": 0, "evidence_s": 0,
        **changes,
    }  # fmt: skip
    world.server.command("SET", f"pts:{{{EARLIER}}}:gate", json.dumps(gate))
    return now_ms


async def test_its_token_is_adopted_without_its_refresh_token(world: RedisWorld, shared: SharedState) -> None:
    leave_token(world)
    leave_gate(world)
    claimed = await shared.claim(an_ask())
    assert isinstance(claimed.outcome, Adopt)
    assert claimed.state.token == replace(TOKEN, refresh=None)
    assert grant_ages_s(claimed.state) == near((0,))


async def test_its_token_is_taken_by_the_credentials_that_obtained_it_alone(
    world: RedisWorld, shared: SharedState
) -> None:
    leave_token(world)
    leave_gate(world)
    claimed = await shared.claim(an_ask(credentials_id="another"))
    assert isinstance(claimed.outcome, Granted)
    assert len(claimed.state.grants) == 1


async def test_a_token_that_was_reported_there_is_left(world: RedisWorld, shared: SharedState) -> None:
    leave_token(world)
    leave_gate(world, rejected_id=TOKEN.token_id)
    claimed = await shared.claim(an_ask())
    assert isinstance(claimed.outcome, Granted)
    assert claimed.outcome.fence > TOKEN.fence


async def test_its_cool_down_and_its_permits_count_too(world: RedisWorld, shared: SharedState) -> None:
    now_ms = leave_gate(world)
    pause = {"kind": "throttled", "from_ms": now_ms, "until_ms": now_ms + 50_000, "strikes": 3, "detail": ""}
    leave_gate(world, pause=pause)
    stopped = (await shared.claim(an_ask())).outcome
    assert isinstance(stopped, CoolingDown)
    assert (stopped.pause.kind, stopped.pause.consecutive_failures) == (FailureKind.THROTTLED, 3)
    assert stopped.pause.left_s == near(50)


async def test_a_spent_budget_is_spent(world: RedisWorld, shared: SharedState) -> None:
    now_ms = leave_gate(world)
    leave_gate(world, grants_ms=[now_ms - 4 * number for number in range(PROFILE.budget.calls)])
    assert isinstance((await shared.claim(an_ask())).outcome, OverBudget)


async def test_what_is_there_already_is_not_touched(world: RedisWorld, shared: SharedState) -> None:
    await shared.claim(an_ask("r/first"))
    leave_token(world)
    leave_gate(world)
    assert (await world.store.shared_state(PROFILE).claim(an_ask())).state.token is None


@pytest.mark.parametrize(
    "junk", ["", "x", "[", "{}", '{"fence": -1}', '{"fence": 1, "id": "x", "sealed": "aes:one:AA"}']
)
async def test_what_cannot_be_used_stops_nobody(world: RedisWorld, shared: SharedState, junk: str) -> None:
    for part in ("gate", "token"):
        world.server.command("SET", f"pts:{{{EARLIER}}}:{part}", junk)
    assert isinstance((await shared.claim(an_ask())).outcome, Granted)


async def test_a_value_of_another_type_stops_nobody(world: RedisWorld, shared: SharedState) -> None:
    for part in ("gate", "token"):
        world.server.command("HSET", f"pts:{{{EARLIER}}}:{part}", "field", "value")
    assert isinstance((await shared.claim(an_ask())).outcome, Granted)
