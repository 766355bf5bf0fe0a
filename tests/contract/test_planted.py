"""Who can write to the store and has no seal key plants values: none is believed beyond what it can do by right."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from sidecar.core.errors import MAX_TEXT_CHARS, FailureKind, PartnerDetail
from sidecar.core.model import Budget, Secret, Token, token_id_of
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import Grant, Granted, LearnedLifetime, ReplicaMemory, State
from sidecar.partner.response import MAX_TOKEN_CHARS
from sidecar.stores.documents import MAX_DOCUMENT_BYTES, REMEMBERED_IDS
from tests.contract.nearness import near
from tests.contract.planting import WIDE, plant, rotations
from tests.contract.worlds import (
    PROFILE,
    KeptWorld,
    Part,
    a_failure,
    a_token,
    an_ask,
    failed,
    fetched,
    granted,
)


@pytest.fixture
def world(kept_world: KeptWorld) -> KeptWorld:
    return kept_world


@pytest.fixture
async def shared(world: KeptWorld) -> SharedState:
    shared = world.store.shared_state(WIDE)
    await shared.peek(0)  # a file is there only once somebody has looked
    return shared


async def aged(shared: SharedState, age_s: float, text: str = "") -> Token:
    """A token that was committed at this age, by who knew the store's clock."""
    nonce, grant = await granted(shared)
    token = replace(a_token(grant.fence, text), issued_at=(await shared.peek(0)).now - age_s)
    assert (await shared.commit(nonce, token, age_s, LearnedLifetime())).stored
    return token


# What lies beside the sealed text is bound to it


async def test_a_token_under_another_tokens_id_is_refused(world: KeptWorld, shared: SharedState) -> None:
    """So that one which was reported cannot come back under a name nobody has reported."""
    token = await fetched(shared)
    await shared.reject(token.token_id, 0)
    plant(world, "token", id=token_id_of(Secret("another")))
    seen = await shared.peek(0)
    assert (seen.token, seen.token_id, seen.damaged) == (None, "", ("seal",))
    assert isinstance((await shared.claim(an_ask())).outcome, Granted)


@pytest.mark.parametrize("planted_ms", [0, 1, 10**13])
async def test_no_instant_beside_the_seal_makes_a_token_older_or_younger(
    world: KeptWorld, shared: SharedState, planted_ms: int
) -> None:
    token = await aged(shared, 800)
    plant(world, "token", issued_ms=planted_ms)
    assert (await shared.peek(0)).token == token
    assert (await shared.claim(an_ask())).state.token == token


async def test_an_old_token_put_back_as_a_whole_gives_way_to_a_newer_one(world: KeptWorld, shared: SharedState) -> None:
    old = await aged(shared, 700, "old")
    document = world.get("token")
    newer = await fetched(shared, known=old.fence)
    world.put("token", document)
    told = await shared.peek(newer.fence)
    assert (told.token, told.token_fence) == (None, old.fence)
    newcomer = await shared.peek(0)
    assert newcomer.token is not None
    assert newcomer.now - newcomer.token.issued_at == near(700)
    await shared.seed(ReplicaMemory(state=replace(told, token=None), token=newer, token_age_s=0))
    assert (await shared.peek(0)).token == newer


@pytest.mark.parametrize("part", ["pause", "refused"])
async def test_what_a_partner_is_said_to_have_said_is_printable_and_short(
    world: KeptWorld, shared: SharedState, part: str
) -> None:
    """Every caller gets it in an error, and every operator in a terminal."""
    await failed(shared, FailureKind.THROTTLED, 30)
    text = "\x1b[2J\u202e\u0007" * 60
    detail = json.dumps({"status": 429, "error_code": text, "error_message": text, "session_id": text})
    planted = {**json.loads(world.get("gate"))["pause"], "detail": detail}
    plant(world, "gate", **{part: planted if part == "pause" else {"credentials-1": planted}})
    state = await shared.peek(0)
    pause = state.pause if part == "pause" else state.credential_blocks["credentials-1"]
    assert pause is not None
    assert pause.detail is not None
    for said in (pause.detail.error_code, pause.detail.error_message, pause.detail.session_id):
        assert said.isprintable()
        assert 0 < len(said) <= MAX_TEXT_CHARS


# Megabytes


@pytest.mark.parametrize("part", ["gate", "token"])
async def test_a_value_of_the_right_shape_that_is_longer_than_any_of_ours_is_missing(
    world: KeptWorld, shared: SharedState, part: Part
) -> None:
    """A field of a later version is passed over; so it is the length that counts."""
    await fetched(shared)
    plant(world, part, later="x" * 1000)
    assert (await shared.peek(0)).damaged == ()
    plant(world, part, later="x" * MAX_DOCUMENT_BYTES)
    seen = await shared.peek(0)
    assert seen.damaged == (part,)
    assert (seen.epoch == "", seen.token is None) == (part == "gate", part == "token")
    await rotations(shared)


@pytest.mark.parametrize("part", ["gate", "token"])
@pytest.mark.parametrize("junk", [b"x", b"[", b'"', b"[0,"], ids=repr)
async def test_megabytes_of_anything_are_missing(
    world: KeptWorld, shared: SharedState, part: Part, junk: bytes
) -> None:
    await fetched(shared)
    world.put(part, junk * (20_000_000 // len(junk)))
    assert (await shared.peek(0)).damaged == (part,)
    world.put(part, junk * (MAX_DOCUMENT_BYTES // len(junk)))
    assert (await shared.peek(0)).damaged == (part,)
    await rotations(shared)


async def test_the_largest_token_there_can_be_is_kept(world: KeptWorld, shared: SharedState) -> None:
    """Every character of it is doubled by JSON, and all of it grows by a third when it is sealed."""
    nonce, grant = await granted(shared)
    longest = replace(a_token(grant.fence, '"' * MAX_TOKEN_CHARS), refresh=Secret("\\" * MAX_TOKEN_CHARS))
    assert (await shared.commit(nonce, longest, 0, LearnedLifetime())).stored
    assert (await shared.peek(0)).token == longest
    assert 85_000 < len(world.get("token")) < MAX_DOCUMENT_BYTES * 3 / 4


async def test_the_largest_gate_there_can_be_is_kept(world: KeptWorld) -> None:
    """The whole budget spent within a day, all refusals that are remembered, each with all that a partner can say."""
    profile = replace(PROFILE, budget=Budget(1000, 86_400))
    shared = world.store.shared_state(profile)
    text = "\U0001f600" * MAX_TEXT_CHARS
    detail = PartnerDetail(status=429, error_code=text, error_message=text, session_id=text)
    for number in range(REMEMBERED_IDS):
        await shared.fail(a_failure(f"r/{number}", 1, FailureKind.UNAUTHORIZED, 900, f"credentials-{number}", detail))
    await shared.fail(a_failure("r/throttled", 1, FailureKind.THROTTLED, 900, "credentials-1", detail))
    spent = State(grants=tuple(Grant(10**12 + 2 * number, 1.0, caller_requested=number < 500) for number in range(999)))
    await shared.seed(ReplicaMemory(state=spent, token=None, token_age_s=0))
    seen = await shared.peek(0)
    assert (seen.damaged, len(seen.grants), len(seen.credential_blocks)) == ((), 999, REMEMBERED_IDS)
    assert seen.pause is not None
    assert seen.pause.detail == detail
    assert 55_000 < len(world.get("gate")) < MAX_DOCUMENT_BYTES * 3 / 4
