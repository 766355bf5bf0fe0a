"""The six operations of a store that decides in Python: `decisions.py`, applied to one profile's record.

The shared state in one process's memory: for development, for one replica, and for whole fleets under test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

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
from sidecar.stores.documents import Coordination, DamagedName, OutcomeName, StoredToken, StoreReply, ms
from sidecar.stores.sealing import UnsealError
from sidecar.stores.state_mapping import claimed, state_of

T = TypeVar("T")


class SealedToken(decisions.KeptToken, Protocol):
    """A stored token that is still sealed."""

    def opened(self) -> Token:
        """Return the opened token. Raises `UnsealError`."""
        ...


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

    def __init__(self, cell: ProfileRecord, profile: Profile, now_ms: int, new_epoch: Callable[[], str]) -> None:
        self._cell = cell
        self._profile = profile
        self._now_ms = now_ms
        self._new_epoch = new_epoch
        if now_ms >= cell.token_gone_ms:
            cell.token = None

    def claim(self, ask: ClaimRequest) -> ClaimResult:
        stored = self._stored(lost=ask.epoch != "")
        told, asked = self._told(ask.known), ask
        if told is None and stored.token_fence > ask.known:
            # The stored token cannot be opened here, so it must not be offered for ever.
            asked = replace(ask, known=stored.token_fence)
        outcome, left = decisions.claim(stored, asked, self._profile)
        reply = self._view(outcome, left)
        if asked is not ask:
            reply.token = None
        return claimed(reply, ask, state_of(reply, self._profile, told))

    def commit(self, nonce: str, token: Token, age_s: Seconds, learned: LearnedLifetime) -> Committed:
        stored = self._stored(lost=True)
        outcome = decisions.commit(stored, nonce, token, learned)
        self._keep(stored, token, age_s)
        return Committed(outcome == "stored", self._state(outcome, token.fence))

    def fail(self, failed: FailureReport) -> State:
        outcome = decisions.fail(self._stored(lost=True), failed)
        return self._state(outcome, failed.known)

    def reject(self, token_id: str, age_s: Seconds) -> Rejection:
        token = self._cell.token
        if token is None or token.token_id != token_id:
            # A report of an unknown token creates no document. The reporter gets the stored token, if any.
            return Rejection(current=False, confirmed=False, state=self._state("late", 0))
        outcome = decisions.reject(self._stored(lost=True), token_id, age_s)
        state = self._state(outcome, token.fence)
        return Rejection(current=outcome == "current", confirmed=outcome == "confirmed", state=state)

    def peek(self, known: int) -> State:
        return self._state("seen", known)

    def seed(self, remembered: ReplicaMemory) -> State:
        stored = self._stored(lost=remembered.state.epoch != "")
        offered = remembered.token
        outcome = decisions.seed(stored, remembered, self._profile)
        self._keep(stored, offered, remembered.token_age_s)
        return self._state(outcome, offered.fence if offered else 0)

    def _stored(self, *, lost: bool) -> decisions.Stored:
        """Return what is stored, with a new document if there is none; `lost` says whether there was one before."""
        if self._cell.gate is None:
            self._cell.gate = Coordination(epoch=self._new_epoch(), born_ms=self._now_ms, lost=lost)
        return decisions.Stored(self._cell.gate, self._cell.token, self._now_ms)

    def _keep(self, stored: decisions.Stored, offered: Token | None, age_s: Seconds) -> None:
        """Store the offered token if the decision chose it."""
        if offered is not None and stored.token is offered:
            self._cell.token = offered
            self._cell.token_gone_ms = self._now_ms + ms(keep_s(offered, age_s, self._profile))

    def _state(self, outcome: OutcomeName, known: int) -> State:
        told = self._told(known)
        reply = self._view(outcome)
        if told is None and reply.token is not None and reply.token.fence > known:
            reply.token = None
        return state_of(reply, self._profile, told)

    def _view(self, outcome: OutcomeName, left: int = 0) -> StoreReply:
        cell, beside = self._cell, None
        if cell.token is not None:
            beside = StoredToken(cell.token.fence, cell.token.token_id)
        return StoreReply(self._now_ms, outcome, left, cell.gate, beside, cell.damaged)

    def _told(self, known: int) -> Token | None:
        """Return the stored token if it is newer than the replica's; one that cannot be opened counts as damaged."""
        token = self._cell.token
        if token is None or token.fence <= known:
            return None
        if isinstance(token, Token):
            return token
        try:
            return token.opened()
        except UnsealError:
            self._cell.damaged.append("seal")
            return None


class RunOperation(Protocol):
    """Runs work on the decision engine of one profile; `operation` is the name of the port's method."""

    async def __call__(self, operation: str, work: Callable[[DecisionEngine], T], /) -> T: ...


class DeskState:
    """The `SharedState` of one profile, on its decision engine."""

    def __init__(self, visit: RunOperation) -> None:
        self._visit = visit

    async def claim(self, ask: ClaimRequest) -> ClaimResult:
        return await self._visit("claim", lambda engine: engine.claim(ask))

    async def commit(self, nonce: str, token: Token, age_s: Seconds, learned: LearnedLifetime) -> Committed:
        return await self._visit("commit", lambda engine: engine.commit(nonce, token, age_s, learned))

    async def fail(self, failed: FailureReport) -> State:
        return await self._visit("fail", lambda engine: engine.fail(failed))

    async def reject(self, token_id: str, age_s: Seconds) -> Rejection:
        return await self._visit("reject", lambda engine: engine.reject(token_id, age_s))

    async def peek(self, known: int) -> State:
        return await self._visit("peek", lambda engine: engine.peek(known))

    async def seed(self, remembered: ReplicaMemory) -> State:
        return await self._visit("seed", lambda engine: engine.seed(remembered))


class MemoryStore:
    """A store for replicas that share one object of this class. It needs no lock: nothing here ever awaits."""

    kind = "memory"

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # The wall clock is read once: a jump would change the length of every lease and pause.
        self._started_at = clock.wall()
        self._started = clock.monotonic()
        self._cells: dict[str, ProfileRecord] = {}

    def shared_state(self, profile: Profile) -> SharedState:
        async def visit(_operation: str, work: Callable[[DecisionEngine], T]) -> T:
            cell = self._cells.setdefault(profile.profile_id, ProfileRecord())
            return work(DecisionEngine(cell, profile, self._now_ms(), self._clock.new_id))

        return DeskState(visit)

    async def ping(self) -> None:
        return None

    async def close(self) -> None:
        return None

    def _now_ms(self) -> int:
        return round((self._started_at + self._clock.monotonic() - self._started) * 1000)
