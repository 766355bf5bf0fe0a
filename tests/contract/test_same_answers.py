"""Any history of operations gets the same answers from all stores."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.core.errors import FailureKind
from sidecar.core.ports import SharedState
from sidecar.core.shared_state import (
    CoolingDown,
    Granted,
    Held,
    LearnedLifetime,
    OverBudget,
    Pause,
    ReplicaMemory,
    State,
)
from sidecar.core.store_url import parse_store_url
from sidecar.stores.factory import open_store
from tests.contract.nearness import NEAR_S
from tests.contract.sqlite_world import SqliteWorld
from tests.contract.worlds import (
    PROFILE,
    SEALER,
    MemoryWorld,
    RedisWorld,
    World,
    a_failure,
    a_token,
    an_ask,
)
from tests.servers import RedisServer
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S

IN_MEMORY = Path("/dev/shm")
Step: TypeAlias = tuple[Any, ...]

CREDENTIALS_IDS = ("credentials-1", "credentials-2")
# Durations and moves of time share no sum, so that a real server's few milliseconds never decide a comparison.
DELAYS_S = (0, 7.3, 29.7, 101.9)
MOVES_S = (3, 11, 31, 61, 1000)

CLAIM = st.tuples(st.just("claim"), st.booleans(), st.booleans(), st.booleans(), st.sampled_from(CREDENTIALS_IDS))
COMMIT = st.tuples(
    st.just("commit"),
    st.integers(-3, -1),
    st.sampled_from(("a", "b", "c")),
    st.sampled_from(CREDENTIALS_IDS),
    st.integers(0, 2),
)
FAIL = st.tuples(
    st.just("fail"), st.integers(-3, -1), st.sampled_from([None, *FailureKind]), st.sampled_from(DELAYS_S),
    st.sampled_from(CREDENTIALS_IDS), st.booleans(),
)  # fmt: skip
REJECT = st.tuples(st.just("reject"), st.sampled_from(("a", "b", "c")))
PEEK = st.tuples(st.just("peek"))
SEED = st.tuples(st.just("seed"), st.integers(-6, -1), st.booleans(), st.sampled_from(("a", "b")), st.booleans())
ADVANCE = st.tuples(st.just("advance"), st.sampled_from(MOVES_S))
LOSE = st.tuples(st.just("lose"))
STEPS = st.lists(st.one_of(CLAIM, CLAIM, COMMIT, COMMIT, FAIL, FAIL, REJECT, PEEK, SEED, ADVANCE, ADVANCE, LOSE))


@dataclass
class Run:
    """One world's side of a history. Fences and epochs differ between worlds, so they are told by when they came."""

    world: World
    nonces: list[str] = field(default_factory=lambda: ["r/none"])
    fences: list[int] = field(default_factory=lambda: [1])
    epochs: list[str] = field(default_factory=lambda: [""])
    states: list[State] = field(default_factory=lambda: [State()])

    async def take(self, number: int, step: Step) -> object:
        operation: Callable[..., Awaitable[object]] = getattr(self, f"_{step[0]}")
        return await operation(number, *step[1:])

    async def _claim(
        self, number: int, knows: bool, remembers: bool, caller_requested: bool, credentials_id: str
    ) -> object:
        latest = self.states[-1]
        ask = an_ask(
            f"r/{number}", known=latest.token_fence if knows else 0, fence=latest.fence,
            epoch=latest.epoch if remembers else "", caller_requested=caller_requested, credentials_id=credentials_id,
        )  # fmt: skip
        claimed = await self._shared.claim(ask)
        outcome = claimed.outcome
        if isinstance(outcome, Granted):
            self.nonces.append(ask.nonce)
            self.fences.append(outcome.fence)
        match outcome:
            case Granted(fence, limit_s):
                shown: object = ("granted", self._nth(fence), limit_s)
            case Held(left_s) | OverBudget(left_s):
                shown = (type(outcome).__name__, left_s)
            case CoolingDown(pause):
                shown = ("cooling", self._pause(pause))
            case _:
                shown = "adopt"
        return shown, self._seen(claimed.state)

    async def _commit(self, _: int, back: int, text: str, credentials_id: str, learned: int) -> object:
        nonce, fence = self._grant(back)
        lifetime = LearnedLifetime(learned_s=learned * 100.5)
        committed = await self._shared.commit(nonce, a_token(fence, text, credentials_id=credentials_id), 2, lifetime)
        return committed.stored, self._seen(committed.state)

    async def _fail(
        self, _: int, back: int, kind: FailureKind | None, delay_s: float, credentials_id: str, drop: bool
    ) -> object:
        nonce, fence = self._grant(back)
        dropped = fence if drop else 0
        return self._seen(
            await self._shared.fail(a_failure(nonce, fence, kind, delay_s, credentials_id, None, drop_refresh=dropped))
        )

    async def _reject(self, _: int, text: str) -> object:
        rejection = await self._shared.reject(a_token(1, text).token_id, 3.5)
        return rejection.current, rejection.confirmed, self._seen(rejection.state)

    async def _peek(self, _: int) -> object:
        return self._seen(await self._shared.peek(0))

    async def _seed(self, _: int, back: int, with_token: bool, text: str, stepped: bool) -> object:
        # Some time has passed since it was seen, or a real server's milliseconds decide which pause is the longer one.
        self.world.advance(0.05)
        state = self.states[max(back, -len(self.states))]
        token = a_token(self.fences[-1], text) if with_token else None
        offered = ReplicaMemory(state=state, token=token, token_age_s=5, clock_stepped=stepped)
        return self._seen(await self._shared.seed(offered))

    async def _advance(self, _: int, span_s: float) -> None:
        self.world.advance(span_s)

    async def _lose(self, _: int) -> None:
        # A server takes a moment to come back; within one millisecond two grants would have the same fence.
        self.world.advance(1)
        self.world.lose_data()

    @property
    def _shared(self) -> SharedState:
        return self.world.store.shared_state(PROFILE)

    def _grant(self, back: int) -> tuple[str, int]:
        at = max(back, -len(self.nonces))
        return self.nonces[at], self.fences[at]

    def _nth(self, fence: int) -> object:
        return self.fences.index(fence) if fence in self.fences else fence

    def _seen(self, state: State) -> object:
        self.states.append(state)
        if state.epoch not in self.epochs:
            self.epochs.append(state.epoch)
        return {
            "epoch": self.epochs.index(state.epoch),
            "fences": [self._nth(each) for each in (state.fence, state.token_fence, state.refresh_dropped)],
            "token": state.token and (state.token.access.reveal(), self._nth(state.token.fence)),
            "names": (state.token_id, state.lease_owner),
            "lease_left": state.lease_left_s,
            "grants": [(self._nth(grant.fence), grant.age_s, grant.caller_requested) for grant in state.grants],
            "reported": state.reported
            and (state.reported.token_id, self._nth(state.reported.fence), state.reported.age_s),
            "confirmed": state.confirmed and (state.confirmed.token_id, self._nth(state.confirmed.fence)),
            "proven": {key: self._nth(fence) for key, fence in sorted(state.proven.items())},
            "pause": state.pause and self._pause(state.pause),
            "strikes": {
                kind: (each.count, self._nth(each.fence)) for kind, each in sorted(state.failure_counts.items())
            },
            "refused": {key: self._pause(pause) for key, pause in sorted(state.credential_blocks.items())},
            "lesson": (state.learned.learned_s, state.learned.first_report_age_s, self._nth(state.learned.fence)),
            "damaged": state.damaged,
        }

    def _pause(self, pause: Pause) -> object:
        return pause.kind.value, pause.left_s, pause.consecutive_failures, self._nth(pause.fence)


def alike(one: object, other: object) -> bool:
    """Equal, but for the real time that an operation takes."""
    if isinstance(one, float | int) and isinstance(other, float | int):
        return abs(one - other) < NEAR_S
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(alike, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    return one == other


async def compare(server: RedisServer, folder: Path, steps: list[Step]) -> None:
    server.command("FLUSHALL")
    store = open_store(parse_store_url(server.url), timeout_s=PATIENT_S, sealer=SEALER, clock=HandClock())
    sqlite_world = SqliteWorld(folder)
    redis, others = Run(RedisWorld(server, store)), {"memory": Run(MemoryWorld()), "sqlite": Run(sqlite_world)}
    try:
        for number, step in enumerate(steps):
            before = redis.states[-1].now
            expected = await redis.take(number, step)
            # The same time passes in the others, or a busy machine would decide a comparison.
            passed_s = redis.states[-1].now - before if before else 0
            for name, run in others.items():
                run.world.advance(passed_s)
                answered = await run.take(number, step)
                assert alike(expected, answered), f"step {number} {step}:\nredis {expected}\n{name} {answered}"
    finally:
        await store.close()
        await sqlite_world.store.close()


LATE_TOKEN: list[Step] = [
    ("claim", False, False, False, "credentials-1"),
    ("fail", -1, FailureKind.THROTTLED, 0, "credentials-1", False),
    ("advance", 3),
    ("commit", -1, "a", "credentials-1", 0),
]
"""A call that was granted before the partner said no, and whose token comes long after."""

SEEDED_PAUSE: list[Step] = [
    ("claim", False, False, False, "credentials-1"),
    ("claim", False, False, False, "credentials-1"),
    ("fail", -2, FailureKind.THROTTLED, 7.3, "credentials-1", False),
    ("fail", -1, FailureKind.THROTTLED, 0, "credentials-1", False),
    ("seed", -2, False, "a", False),
]
"""The pause that is offered is the stored one, as it was a moment ago."""


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
@example(steps=LATE_TOKEN)
@example(steps=SEEDED_PAUSE)
def test_all_stores_answer_any_history_alike(shared_redis_server: RedisServer, steps: list[Step]) -> None:
    # In memory where there is such a place: thousands of commits need not wait for a disk.
    with TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        asyncio.run(compare(shared_redis_server, Path(folder), steps))
