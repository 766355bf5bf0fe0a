"""The six operations of a store that decides in Python: `decisions.py`, applied to one profile's record.

The memory store is here too: for development, for one replica, and for whole fleets under test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar, cast

from sidecar.core.model import Profile, Seconds, Token
from sidecar.core.ports import Clock, SharedState
from sidecar.core.shared_state import (
    ClaimRequest,
    ClaimResult,
    Committed,
    FailureReport,
    LearnedLifetime,
    Rejection,
    ReplicaMemory,
    State,
)
from sidecar.stores import decisions
from sidecar.stores.codec import keep_s
from sidecar.stores.decisions import SealedToken
from sidecar.stores.documents import Coordination, DamagedName, OutcomeName, StoredToken, StoreReply, ms
from sidecar.stores.state_mapping import claimed, is_unreadable_offer, rejection, state_of

T = TypeVar("T")


@dataclass(slots=True)
class ProfileRecord:
    """What is stored for one profile, before and after an operation."""

    gate: Coordination | None = None
    token: Token | SealedToken | None = None
    token_gone_ms: int = 0
    damaged: list[DamagedName] = field(default_factory=list)
    """As `State.damaged`."""


class DecisionEngine:
    """One operation on one profile's record, at one instant. The caller ensures exclusive access to the record."""

    def __init__(self, record: ProfileRecord, profile: Profile, now_ms: int, new_epoch: Callable[[], str]) -> None:
        self._record = record
        self._profile = profile
        self._now_ms = now_ms
        self._new_epoch = new_epoch
        if now_ms >= record.token_gone_ms:
            record.token = None

    def claim(self, ask: ClaimRequest) -> ClaimResult:
        result = self._claim(ask, ask.known)
        if is_unreadable_offer(result) and self._record.token is not None:
            return self._claim(ask, self._record.token.fence)
        return result

    def commit(self, nonce: str, token: Token, age_s: Seconds, learned: LearnedLifetime) -> Committed:
        stored = self._stored(lost=True)
        outcome = decisions.commit(stored, nonce, token, learned)
        self._keep(stored, token, age_s)
        return Committed(outcome == "stored", self._state(outcome, token.fence))

    def fail(self, failed: FailureReport) -> State:
        outcome = decisions.fail(self._stored(lost=True), failed)
        return self._state(outcome, failed.known)

    def reject(self, token_id: str, age_s: Seconds) -> Rejection:
        token = self._record.token
        # A report of an unknown token creates no document.
        is_late = token is None or token.token_id != token_id
        outcome = "late" if is_late else decisions.reject(self._stored(lost=True), token_id, age_s)
        return rejection(self._reply(outcome), self._profile, self._unseal)

    def peek(self, known: int) -> State:
        return self._state("seen", known)

    def seed(self, remembered: ReplicaMemory) -> State:
        stored = self._stored(lost=remembered.state.epoch != "")
        offered = remembered.token
        outcome = decisions.seed(stored, remembered, self._profile)
        self._keep(stored, offered, remembered.token_age_s)
        return self._state(outcome, offered.fence if offered else 0)

    def _claim(self, ask: ClaimRequest, known: int) -> ClaimResult:
        """Claim as if the replica had a token of the fence `known`."""
        stored = self._stored(lost=ask.epoch != "")
        reply = self._reply(*decisions.claim(stored, replace(ask, known=known), self._profile))
        return claimed(reply, ask, state_of(reply, self._profile, ask.known, self._unseal))

    def _stored(self, *, lost: bool) -> decisions.Stored:
        """Return what is stored, with a new document if there is none; `lost` says whether there was one before."""
        if self._record.gate is None:
            self._record.gate = Coordination(epoch=self._new_epoch(), born_ms=self._now_ms, lost=lost)
        return decisions.Stored(self._record.gate, self._record.token, self._now_ms)

    def _keep(self, stored: decisions.Stored, offered: Token | None, age_s: Seconds) -> None:
        """Store the offered token if the decision chose it."""
        if offered is not None and stored.token is offered:
            self._record.token = offered
            self._record.token_gone_ms = self._now_ms + ms(keep_s(offered, age_s, self._profile))

    def _state(self, outcome: OutcomeName, known: int) -> State:
        return state_of(self._reply(outcome), self._profile, known, self._unseal)

    def _reply(self, outcome: OutcomeName, left: int = 0) -> StoreReply:
        record = self._record
        token = None if record.token is None else StoredToken(record.token.fence, record.token.token_id)
        return StoreReply(self._now_ms, outcome, left, record.gate, token, record.damaged)

    def _unseal(self, _stored: StoredToken) -> Token:
        token = self._record.token
        return token.opened() if isinstance(token, SealedToken) else cast("Token", token)


class RunOperation(Protocol):
    """Runs work on the decision engine of one profile; `operation` is the name of the port's method."""

    async def __call__(self, operation: str, work: Callable[[DecisionEngine], T], /) -> T: ...


class EngineState:
    """The `SharedState` of one profile, on its decision engine."""

    def __init__(self, run: RunOperation) -> None:
        self._run = run

    async def claim(self, ask: ClaimRequest) -> ClaimResult:
        return await self._run("claim", lambda engine: engine.claim(ask))

    async def commit(self, nonce: str, token: Token, age_s: Seconds, learned: LearnedLifetime) -> Committed:
        return await self._run("commit", lambda engine: engine.commit(nonce, token, age_s, learned))

    async def fail(self, failed: FailureReport) -> State:
        return await self._run("fail", lambda engine: engine.fail(failed))

    async def reject(self, token_id: str, age_s: Seconds) -> Rejection:
        return await self._run("reject", lambda engine: engine.reject(token_id, age_s))

    async def peek(self, known: int) -> State:
        return await self._run("peek", lambda engine: engine.peek(known))

    async def seed(self, remembered: ReplicaMemory) -> State:
        return await self._run("seed", lambda engine: engine.seed(remembered))


class MemoryStore:
    """A store for replicas that share one object of this class. It needs no lock: nothing here ever awaits."""

    kind = "memory"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The wall clock is read once: a jump would change the length of every lease and pause.
        self._started_at = clock.wall()
        self._started = clock.monotonic()
        self._records: dict[str, ProfileRecord] = {}

    def shared_state(self, profile: Profile) -> SharedState:
        async def run(_operation: str, work: Callable[[DecisionEngine], T]) -> T:
            record = self._records.setdefault(profile.profile_id, ProfileRecord())
            return work(DecisionEngine(record, profile, self._now_ms(), self._clock.new_id))

        return EngineState(run)

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def _now_ms(self) -> int:
        return round((self._started_at + self._clock.monotonic() - self._started) * 1000)
