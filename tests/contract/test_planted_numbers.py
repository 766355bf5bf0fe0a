"""Numbers at their ends and instants that never come, planted in a gate or a token: they stop nobody for good."""

from __future__ import annotations

import pytest

from sidecar.core.errors import FailureKind
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import CoolingDown, Held
from sidecar.stores.documents import (
    FENCE_AHEAD_MS,
    LONGEST_DETAIL,
    LONGEST_ID,
    LONGEST_SPAN_MS,
    MOST_GRANTS,
    MOST_KINDS,
)
from tests.contract.planting import WIDE, plant, rotations
from tests.contract.worlds import LIMIT_S, KeptWorld, Part, an_ask, failed, failure_counts_of, fetched, granted

DAY_S = LONGEST_SPAN_MS / 1000
NEVER_MS = 10**14 - 1
"""The last instant that is one."""


@pytest.fixture
def world(kept_world: KeptWorld) -> KeptWorld:
    return kept_world


@pytest.fixture
async def shared(world: KeptWorld) -> SharedState:
    shared = world.store.shared_state(WIDE)
    await shared.peek(0)  # a file is there only once somebody has looked
    return shared


# Numbers at their ends


@pytest.mark.parametrize("ahead_ms", [0, 1000])
async def test_a_gate_with_a_fence_beyond_belief_is_missing(
    world: KeptWorld, shared: SharedState, ahead_ms: int
) -> None:
    """One more would be no whole number to a script: every claim would fail for ever."""
    await failed(shared, FailureKind.TIMEOUT, 0)
    now_ms = round((await shared.peek(0)).now * 1000)
    plant(world, "gate", fence=now_ms + FENCE_AHEAD_MS + ahead_ms + 2000 if ahead_ms else NEVER_MS)
    assert (await shared.peek(0)).damaged == ("gate",)
    await rotations(shared)
    assert (await shared.peek(0)).fence < 2 * now_ms


async def test_a_lease_with_a_fence_beyond_belief_is_missing_with_its_gate(
    world: KeptWorld, shared: SharedState
) -> None:
    await failed(shared, FailureKind.TIMEOUT, 0)
    plant(world, "gate", lease={"nonce": "r/1", "fence": NEVER_MS, "from_ms": 1, "until_ms": NEVER_MS})
    assert (await shared.peek(0)).damaged == ("gate",)
    await rotations(shared)


async def test_a_token_with_a_fence_beyond_belief_is_missing(world: KeptWorld, shared: SharedState) -> None:
    await fetched(shared)
    plant(world, "token", fence=NEVER_MS)
    assert (await shared.peek(0)).damaged == ("token",)
    await rotations(shared)


@pytest.mark.parametrize("part", ["gate", "token"])
async def test_the_highest_fence_that_is_believed_stops_nobody(
    world: KeptWorld, shared: SharedState, part: Part
) -> None:
    await fetched(shared)
    now_ms = round((await shared.peek(0)).now * 1000)
    plant(world, part, fence=now_ms + FENCE_AHEAD_MS - 10)
    for _ in range(3):
        await rotations(shared, 1)
        world.advance(LIMIT_S)


async def test_no_count_of_failures_grows_out_of_its_bounds(world: KeptWorld, shared: SharedState) -> None:
    """By one more failure the whole gate would be lost, and with it the budget."""
    await failed(shared, FailureKind.TIMEOUT, 0)
    pause = {"kind": "rejected", "fence": 1, "from_ms": 1, "until_ms": 1, "strikes": NEVER_MS, "detail": ""}
    count = {"count": NEVER_MS, "fence": 1}
    plant(world, "gate", strikes={"timeout": count}, refused={"credentials-1": pause}, pause=pause)
    epoch = (await shared.peek(0)).epoch
    for kind in (FailureKind.TIMEOUT, FailureKind.UNAUTHORIZED) * 2:
        await failed(shared, kind, 0)
    state = await shared.peek(0)
    assert (state.damaged, state.epoch) == ((), epoch)
    counts = [
        *failure_counts_of(state).values(),
        *(pause.consecutive_failures for pause in state.credential_blocks.values()),
    ]
    assert max(counts) < 2_000_000


PAUSE = {"kind": "rejected", "fence": 1, "from_ms": 1, "until_ms": 1, "strikes": 1, "detail": ""}
NAMES = [f"credentials-{number}" for number in range(MOST_GRANTS + 1)]


@pytest.mark.parametrize(
    "planted",
    [
        {"proven": dict.fromkeys(NAMES[:5], 1)},
        {"proven": dict.fromkeys([*NAMES, *(f"{name}-again" for name in NAMES)], 1)},
        {"refused": dict.fromkeys(NAMES[:5], PAUSE)},
        {"strikes": {name: {"count": 1, "fence": 1} for name in NAMES[: MOST_KINDS + 1]}},
        {"grants": [{"fence": 2 * number, "at_ms": 1} for number in range(MOST_GRANTS + 1)]},
        {"proven": {"x" * (LONGEST_ID + 1): 1}},
        {"reported": {"id": "x" * (LONGEST_ID + 1), "fence": 1, "age_ms": 1}},
        {"pause": {**PAUSE, "detail": "x" * (LONGEST_DETAIL + 1)}},
    ],
    ids=["proven", "many-proven", "refused", "strikes", "grants", "id", "reported", "detail"],
)
async def test_a_gate_with_more_than_any_replica_writes_is_missing(
    world: KeptWorld, shared: SharedState, planted: dict[str, object]
) -> None:
    """Replicas keep what they read: without bounds whoever writes to the store could make them grow without end."""
    await failed(shared, FailureKind.TIMEOUT, 0)
    plant(world, "gate", **planted)
    assert (await shared.peek(0)).damaged == ("gate",)
    await rotations(shared)


# Instants that never come


@pytest.mark.parametrize("from_ms", [0, 1, NEVER_MS - 10 * LONGEST_SPAN_MS], ids=["always", "past", "future"])
@pytest.mark.parametrize("what", ["pause", "lease", "refused"])
async def test_what_is_planted_to_run_for_ever_runs_for_a_day_at_most(
    world: KeptWorld, shared: SharedState, what: str, from_ms: int
) -> None:
    await failed(shared, FailureKind.TIMEOUT, 0)
    from_ms = from_ms or round((await shared.peek(0)).now * 1000)
    span = {"from_ms": from_ms, "until_ms": NEVER_MS}
    lease = {"nonce": "r/planted", "fence": 1, **span}
    pause = {"kind": "throttled", "fence": 1, "strikes": 1, "detail": "", **span}
    planted: dict[str, object] = {"lease": lease, "pause": pause, "refused": {"credentials-1": pause}}
    plant(world, "gate", **{what: planted[what]})
    outcome = (await shared.claim(an_ask())).outcome
    if from_ms > 1:
        assert isinstance(outcome, Held | CoolingDown)
        left_s = outcome.left_s if isinstance(outcome, Held) else outcome.pause.left_s
        assert left_s <= DAY_S
        assert isinstance((await shared.claim(an_ask())).outcome, type(outcome))
    for _ in range(2):
        world.advance(DAY_S / 2 + 1)
        await shared.peek(0)
    await granted(shared)


async def test_looking_is_enough_to_let_it_end(world: KeptWorld, shared: SharedState) -> None:
    """Nobody claims while a pause runs, so it must not start again at every look."""
    await failed(shared, FailureKind.TIMEOUT, 0)
    span = {"from_ms": NEVER_MS - 10, "until_ms": NEVER_MS}
    pause = {"kind": "throttled", "fence": 1, "strikes": 1, "detail": "", **span}
    plant(world, "gate", pause=pause, born_ms=NEVER_MS, lost=True, grants=[{"fence": 2, "at_ms": NEVER_MS}])
    await shared.peek(0)
    world.advance(WIDE.budget.window_s + 1)
    await granted(shared)
