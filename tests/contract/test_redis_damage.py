"""What lies under our keys may be anything: it counts as missing, is named, and is overwritten by the next decision."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from sidecar.core.failures import FailureKind
from sidecar.core.model import Secret
from sidecar.core.ports import SharedState
from sidecar.core.shared import Granted, Lesson, Remembered, State
from sidecar.stores.opening import Store, open_store
from sidecar.stores.seal import AesSealer, OpenSealer
from sidecar.stores.wire import token_argument
from tests.contract.worlds import (
    LIMIT_S,
    NEAR_S,
    PROFILE,
    SEALER,
    RedisWorld,
    a_failure,
    a_token,
    an_ask,
    failed,
    fetched,
    granted,
    same_but_time,
    seal_key,
)
from tests.fakes.hand_clock import HandClock
from tests.servers import RedisServer

GATE = f"pts:{{{PROFILE.profile_id}}}:gate"
TOKEN = f"pts:{{{PROFILE.profile_id}}}:token"
JUNK: list[bytes] = [
    b"", b"not json", b"5", b'"text"', b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 2000, b'{"epoch": 1, "born_ms": "x"}',
]  # fmt: skip


@pytest.fixture
def shared(redis_world: RedisWorld) -> SharedState:
    return redis_world.store.shared_state(PROFILE)


@pytest.fixture
async def foreign_store(redis_server: RedisServer) -> AsyncIterator[Store]:
    """A replica of the same fleet that was given another key file."""
    sealer = AesSealer([seal_key(2, "two")])
    store = open_store(Secret(redis_server.url), timeout_s=5, sealer=sealer, clock=HandClock())
    yield store
    await store.close()


async def every_operation(shared: SharedState) -> list[State]:
    """One of each, in an order in which all find the damage."""
    pause_free = Remembered(state=State(), token=None, token_age_s=0)
    return [
        await shared.peek(0),
        (await shared.reject("no-such-token")).state,
        (await shared.claim(an_ask())).state,
        await shared.fail(a_failure("r/x", 1, FailureKind.TIMEOUT, 0, "pair-1", None)),
        await shared.seed(pause_free),
        (await shared.commit("r/y", a_token(1), 0, Lesson())).state,
    ]


@pytest.mark.parametrize("junk", JUNK)
async def test_a_gate_that_makes_no_sense_is_missing(
    redis_server: RedisServer, shared: SharedState, junk: bytes
) -> None:
    redis_server.command("SET", GATE, junk)
    seen = await shared.peek(0)
    assert (seen.damaged, seen.epoch) == (("gate",), "")
    claimed = await shared.claim(an_ask())
    assert isinstance(claimed.outcome, Granted)
    assert (await shared.peek(0)).damaged == ()


@pytest.mark.parametrize("junk", JUNK)
async def test_a_token_that_makes_no_sense_is_missing(
    redis_server: RedisServer, shared: SharedState, junk: bytes
) -> None:
    redis_server.command("SET", TOKEN, junk)
    assert (await shared.peek(0)).damaged == ("token",)
    token = await fetched(shared)
    seen = await shared.peek(0)
    assert (seen.damaged, same_but_time(seen.token)) == ((), token)


@pytest.mark.parametrize("key", [GATE, TOKEN])
async def test_no_operation_fails_on_another_redis_type(
    redis_server: RedisServer, shared: SharedState, key: str
) -> None:
    redis_server.command("HSET", key, "field", "value")
    states = await every_operation(shared)
    assert states[0].damaged == ("gate" if key == GATE else "token",)
    assert (await shared.peek(0)).damaged == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fence", "7"), ("fence", -1), ("fence", 1.5), ("fence", 1e15), ("fence", None), ("fence", float("nan")),
        ("learned_s", float("inf")), ("lost", "yes"), ("epoch", "\x00"), ("epoch", "é"), ("lease", {"nonce": "r/1"}),
        ("lease", 5), ("pause", []), ("pause", {"kind": "timeout", "from_ms": 0, "until_ms": {}, "strikes": 1}),
        ("refused", {"pair-1": 1}), ("refused", [1]), ("proven", [1]), ("proven", "pair-1"), ("grants_ms", ["now"]),
        ("grants_ms", {"a": 1}), ("demand_ms", [None]), ("rejected_age_ms", {}), ("confirmed_id", 3),
    ],
)  # fmt: skip
async def test_one_wrong_field_makes_the_whole_gate_missing(
    redis_server: RedisServer, shared: SharedState, field: str, value: object
) -> None:
    await failed(shared, FailureKind.TIMEOUT, 0)
    gate: dict[str, Any] = json.loads(redis_server.command("GET", GATE))
    redis_server.command("SET", GATE, json.dumps({**gate, field: value}))
    assert (await shared.peek(0)).damaged == ("gate",)
    await granted(shared)
    assert (await shared.peek(0)).damaged == ()


async def test_a_field_and_a_kind_of_a_later_version_do_no_harm(redis_server: RedisServer, shared: SharedState) -> None:
    before = await failed(shared, FailureKind.TIMEOUT, 20)
    gate: dict[str, Any] = json.loads(redis_server.command("GET", GATE))
    gate["pause"]["kind"] = "of-a-later-version"
    redis_server.command("SET", GATE, json.dumps({**gate, "later": float("inf")}))
    claimed = await shared.claim(an_ask())
    assert (claimed.state.damaged, claimed.state.epoch) == ((), before.epoch)
    assert claimed.state.pause is not None
    assert claimed.state.pause.kind is FailureKind.SERVER_ERROR


async def test_a_token_sealed_with_a_foreign_key_is_replaced_not_adopted(
    redis_world: RedisWorld, shared: SharedState, foreign_store: Store
) -> None:
    foreign = foreign_store.shared_state(PROFILE)
    theirs = await fetched(foreign)
    seen = await shared.peek(0)
    assert (seen.token, seen.token_fence, seen.token_id, seen.damaged) == (None, 0, "", ("seal",))
    claimed = await shared.claim(an_ask("us/1"))
    assert isinstance(claimed.outcome, Granted)
    assert (claimed.state.token_fence, claimed.state.damaged) == (0, ("seal",))
    assert claimed.outcome.fence > theirs.fence
    ours = a_token(claimed.outcome.fence)
    assert (await shared.commit("us/1", ours, 0, Lesson())).stored
    assert same_but_time((await shared.peek(0)).token) == ours
    assert (await foreign.peek(theirs.fence)).damaged == ("seal",)


async def test_a_key_that_only_opens_still_opens(redis_server: RedisServer, foreign_store: Store) -> None:
    token = await fetched(foreign_store.shared_state(PROFILE))
    rotated = AesSealer([seal_key(1, "one"), seal_key(2, "two")])
    store = open_store(Secret(redis_server.url), timeout_s=5, sealer=rotated, clock=HandClock())
    assert same_but_time((await store.shared_state(PROFILE).peek(0)).token) == token
    await store.close()


@pytest.mark.parametrize("change", ["profile", "fence"])
async def test_a_sealed_token_opens_for_its_profile_and_fence_only(
    redis_server: RedisServer, shared: SharedState, change: str
) -> None:
    await fetched(shared)
    stored: dict[str, Any] = json.loads(redis_server.command("GET", TOKEN))
    profile, fence = (replace(PROFILE, name="other"), stored["fence"]) if change == "profile" else (PROFILE, 7)
    stored["sealed"] = token_argument(a_token(fence), 0, profile, SEALER)["sealed"]
    redis_server.command("SET", TOKEN, json.dumps(stored))
    assert (await shared.peek(0)).damaged == ("seal",)


async def test_an_open_token_is_refused_where_tokens_are_sealed(redis_server: RedisServer, shared: SharedState) -> None:
    planted = token_argument(a_token(9), 0, PROFILE, OpenSealer())
    document = {"fence": 9, "id": planted["id"], "issued_ms": 0, "sealed": planted["sealed"]}
    redis_server.command("SET", TOKEN, json.dumps(document))
    assert (await shared.peek(0)).damaged == ("seal",)
    await granted(shared)


@pytest.mark.parametrize("content", [b"no json", b"{}", b'{"access": 5}'])
async def test_a_good_seal_around_nonsense_is_no_token(
    redis_server: RedisServer, shared: SharedState, content: bytes
) -> None:
    sealed = SEALER.seal(content, f"{PROFILE.profile_id}:9")
    redis_server.command("SET", TOKEN, json.dumps({"fence": 9, "id": "x", "issued_ms": 0, "sealed": sealed}))
    assert (await shared.peek(0)).damaged == ("token",)
    await granted(shared)


async def test_when_the_clock_goes_back_what_runs_keeps_its_length_and_ends(
    redis_world: RedisWorld, shared: SharedState
) -> None:
    """Moving what is stored into the future is what a server's clock that goes back looks like."""
    token = await fetched(shared)
    await granted(shared, an_ask(known=token.fence))
    await shared.fail(a_failure("r/else", token.fence + 9, FailureKind.THROTTLED, 30, "pair-1", None))
    redis_world.advance(-3600)
    state = await shared.peek(0)
    assert state.pause is not None
    assert state.pause.left_s == pytest.approx(30, abs=NEAR_S)
    assert state.lease_left_s == pytest.approx(LIMIT_S, abs=NEAR_S)
    assert state.grant_ages_s == pytest.approx((0, 0), abs=NEAR_S)
    assert state.token_issued_at <= state.now
    redis_world.advance(10)
    state = await shared.peek(0)
    assert state.pause is not None
    assert state.pause.left_s == pytest.approx(20, abs=NEAR_S), "looking was enough to start the clock again"


async def test_tokens_lie_sealed_in_the_store(redis_server: RedisServer, shared: SharedState) -> None:
    await fetched(shared, "canary-access")
    stored = json.loads(redis_server.command("GET", TOKEN))
    box = base64.b64decode(stored["sealed"].rpartition(":")[2])
    for secret in (b"canary-access", b"canary-refresh"):
        assert secret not in redis_server.command("GET", TOKEN) + redis_server.command("GET", GATE) + box
