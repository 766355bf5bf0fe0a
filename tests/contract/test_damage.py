"""What lies in our places may be anything: it counts as missing, is named, and is overwritten by the next decision."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import Granted, LearnedLifetime, ReplicaMemory, State
from sidecar.stores.codec import sealed_text
from sidecar.stores.factory import Store
from sidecar.stores.sealing import AesSealer, OpenSealer
from tests.contract.worlds import (
    PROFILE,
    SEALER,
    KeptWorld,
    Part,
    a_failure,
    a_token,
    an_ask,
    failed,
    fetched,
    granted,
    seal_key,
)

JUNK: list[bytes] = [
    b"", b"not json", b"5", b'"text"', b"null", b"[]", b"{}", b"\xff\xfe", b"[" * 2000, b'{"epoch": 1, "born_ms": "x"}',
    b'{"epoch": "\xff", "born_ms": 1}', b'{"fence": 1, "id": "\xff", "sealed": 1}',
]  # fmt: skip


@pytest.fixture
def world(kept_world: KeptWorld) -> KeptWorld:
    return kept_world


@pytest.fixture
async def shared(world: KeptWorld) -> SharedState:
    shared = world.store.shared_state(PROFILE)
    await shared.peek(0)  # a file is there only once somebody has looked
    return shared


@pytest.fixture
async def foreign_store(world: KeptWorld, shared: SharedState) -> AsyncIterator[Store]:
    """A replica of the same fleet that was given another key file."""
    store = world.another(AesSealer([seal_key(2, "two")]))
    yield store
    await store.close()


async def every_operation(shared: SharedState) -> list[State]:
    """One of each, in an order in which all find the damage."""
    pause_free = ReplicaMemory(state=State(), token=None, token_age_s=0)
    return [
        await shared.peek(0),
        (await shared.reject("no-such-token", 0)).state,
        (await shared.claim(an_ask())).state,
        await shared.fail(a_failure("r/x", 1, FailureKind.TIMEOUT, 0, "credentials-1", None)),
        await shared.seed(pause_free),
        (await shared.commit("r/y", a_token(1), 0, LearnedLifetime())).state,
    ]


@pytest.mark.parametrize("junk", JUNK)
async def test_a_gate_that_makes_no_sense_is_missing(world: KeptWorld, shared: SharedState, junk: bytes) -> None:
    world.put("gate", junk)
    seen = await shared.peek(0)
    assert (seen.damaged, seen.epoch) == (("gate",), "")
    claimed = await shared.claim(an_ask())
    assert isinstance(claimed.outcome, Granted)
    assert (await shared.peek(0)).damaged == ()


@pytest.mark.parametrize("junk", JUNK)
async def test_a_token_that_makes_no_sense_is_missing(world: KeptWorld, shared: SharedState, junk: bytes) -> None:
    world.put("token", junk)
    assert (await shared.peek(0)).damaged == ("token",)
    token = await fetched(shared)
    seen = await shared.peek(0)
    assert (seen.damaged, seen.token) == ((), token)


@pytest.mark.parametrize("part", ["gate", "token"])
async def test_no_operation_fails_on_a_value_of_another_type(world: KeptWorld, shared: SharedState, part: Part) -> None:
    world.put_other_type(part)
    states = await every_operation(shared)
    assert states[0].damaged == (part,)
    assert (await shared.peek(0)).damaged == ()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("fence", "7"), ("fence", -1), ("fence", 1.5), ("fence", 1e15), ("fence", None), ("fence", float("nan")),
        ("lesson", {"fence": 1, "learned_s": float("inf"), "evidence_s": 0}),
        ("lost", "yes"), ("epoch", "\x00"), ("epoch", "é"), ("lease", {"nonce": "r/1"}),
        ("lease", 5), ("pause", []), ("pause", {"kind": "timeout", "from_ms": 0, "until_ms": {}, "strikes": 1}),
        ("refused", {"credentials-1": 1}), ("refused", [1]), ("proven", [1]), ("proven", "credentials-1"),
        ("grants", ["now"]),
        ("grants", {"a": 1}), ("grants", [{"fence": 2}]), ("reported", {}), ("confirmed", 3), ("lesson", []),
    ],
)  # fmt: skip
async def test_one_wrong_field_makes_the_whole_gate_missing(
    world: KeptWorld, shared: SharedState, field: str, value: object
) -> None:
    await failed(shared, FailureKind.TIMEOUT, 0)
    gate: dict[str, Any] = json.loads(world.get("gate"))
    world.put("gate", json.dumps({**gate, field: value}).encode())
    assert (await shared.peek(0)).damaged == ("gate",)
    await granted(shared)
    assert (await shared.peek(0)).damaged == ()


async def test_a_field_and_a_kind_of_a_later_version_do_no_harm(world: KeptWorld, shared: SharedState) -> None:
    before = await failed(shared, FailureKind.TIMEOUT, 20)
    gate: dict[str, Any] = json.loads(world.get("gate"))
    gate["pause"]["kind"] = "of-a-later-version"
    world.put("gate", json.dumps({**gate, "later": 1}).encode())
    claimed = await shared.claim(an_ask())
    assert (claimed.state.damaged, claimed.state.epoch) == ((), before.epoch)
    assert claimed.state.pause is not None
    assert claimed.state.pause.kind is FailureKind.SERVER_ERROR


async def test_a_token_sealed_with_a_foreign_key_is_replaced_not_adopted(
    world: KeptWorld, shared: SharedState, foreign_store: Store
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
    assert (await shared.commit("us/1", ours, 0, LearnedLifetime())).stored
    assert (await shared.peek(0)).token == ours
    assert (await foreign.peek(theirs.fence)).damaged == ("seal",)


async def test_a_key_that_only_opens_still_opens(world: KeptWorld, foreign_store: Store) -> None:
    token = await fetched(foreign_store.shared_state(PROFILE))
    rotated = AesSealer([seal_key(1, "one"), seal_key(2, "two")])
    store = world.another(rotated)
    assert (await store.shared_state(PROFILE).peek(0)).token == token
    await store.close()


@pytest.mark.parametrize("change", ["profile", "fence"])
async def test_a_sealed_token_opens_for_its_profile_and_fence_only(
    world: KeptWorld, shared: SharedState, change: str
) -> None:
    await fetched(shared)
    stored: dict[str, Any] = json.loads(world.get("token"))
    profile, fence = (replace(PROFILE, account="other"), stored["fence"]) if change == "profile" else (PROFILE, 7)
    stored["sealed"] = sealed_text(a_token(fence), profile, SEALER)
    world.put("token", json.dumps(stored).encode())
    assert (await shared.peek(0)).damaged == ("seal",)


async def test_an_open_token_is_refused_where_tokens_are_sealed(world: KeptWorld, shared: SharedState) -> None:
    token = a_token(9)
    document = {"fence": 9, "id": token.token_id, "sealed": sealed_text(token, PROFILE, OpenSealer())}
    world.put("token", json.dumps(document).encode())
    assert (await shared.peek(0)).damaged == ("seal",)
    await granted(shared)


@pytest.mark.parametrize(
    "content", [b"no json", b"{}", b'{"access": 5}', b'{"access": "\xff"}', b'{"later": ' + b"[" * 2000]
)
async def test_a_good_seal_around_nonsense_is_no_token(world: KeptWorld, shared: SharedState, content: bytes) -> None:
    sealed = SEALER.seal(content, f"{PROFILE.profile_id}:9")
    world.put("token", json.dumps({"fence": 9, "id": "x", "sealed": sealed}).encode())
    assert (await shared.peek(0)).damaged == ("seal",)
    await granted(shared)


async def test_tokens_lie_sealed_in_the_store(world: KeptWorld, shared: SharedState) -> None:
    await fetched(shared, "canary-access")
    stored = json.loads(world.get("token"))
    box = base64.b64decode(stored["sealed"].rpartition(":")[2])
    for secret in (b"canary-access", b"canary-refresh"):
        assert secret not in world.get("token") + world.get("gate") + box
