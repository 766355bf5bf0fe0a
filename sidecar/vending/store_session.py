"""What the use cases of one profile share: their objects, the exchange with the store, and the event of a new token.

Watches the shared state: emits events when the store fails, recovers, or holds unusable values.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol, TypeVar

from sidecar.core.errors import StoreError
from sidecar.core.events import (
    StoreClockStepped,
    StoreDataLost,
    StoredValueDiscarded,
    StoreFailed,
    StoreRecovered,
    TokenChanged,
)
from sidecar.core.model import MonotonicTime, Profile, Seconds, Token
from sidecar.core.ports import Clock, EventSink, Partner, SharedState
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
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.local_budget import GrantHistory
from sidecar.vending.outage_budget import OutageBudget
from sidecar.vending.replica_state import ReplicaState


class _HasState(Protocol):
    @property
    def state(self) -> State: ...


S = TypeVar("S", bound=_HasState)
B = TypeVar("B")


class WatchedState:
    """S `SharedState` that passes every call on. `up` is whether the last call got a reply."""

    def __init__(self, profile_name: str, inner: SharedState, sink: EventSink) -> None:
        self._profile_name = profile_name
        self._inner = inner
        self._sink = sink
        self._damaged: tuple[str, ...] = ()
        self.up = True

    async def claim(self, ask: ClaimRequest) -> ClaimResult:
        return await self._answered(self._inner.claim(ask))

    async def commit(self, nonce: str, token: Token, age_s: Seconds, learned: LearnedLifetime) -> Committed:
        return await self._answered(self._inner.commit(nonce, token, age_s, learned))

    async def fail(self, failed: FailureReport) -> State:
        return self._noted(await self._watch(self._inner.fail(failed)))

    async def reject(self, token_id: str, age_s: Seconds) -> Rejection:
        return await self._answered(self._inner.reject(token_id, age_s))

    async def peek(self, known: int) -> State:
        return self._noted(await self._watch(self._inner.peek(known)))

    async def seed(self, remembered: ReplicaMemory) -> State:
        return self._noted(await self._watch(self._inner.seed(remembered)))

    async def _answered(self, operation: Awaitable[S]) -> S:
        answer = await self._watch(operation)
        self._noted(answer.state)
        return answer

    async def _watch(self, operation: Awaitable[B]) -> B:
        try:
            answer = await operation
        except StoreError as error:
            self.up = False
            self._sink.emit(
                StoreFailed(
                    profile=self._profile_name, operation=error.operation, cause=error.cause, address=error.address
                )
            )
            raise
        if not self.up:
            self.up = True
            self._sink.emit(StoreRecovered(profile=self._profile_name))
        return answer

    def _noted(self, state: State) -> State:
        if state.damaged != self._damaged:
            self._damaged = state.damaged
            for what in state.damaged:
                self._sink.emit(StoredValueDiscarded(profile=self._profile_name, what=what))
        return state


A = TypeVar("A", bound=State | ClaimResult | Committed | Rejection)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreSession:
    """One for each profile and process."""

    profile: Profile
    replica_id: str
    clock: Clock
    store: WatchedState
    partner: Partner
    rotation: CredentialRotation
    replica: ReplicaState
    fallback: OutageBudget
    ledger: GrantHistory
    sink: EventSink
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def exchange(self, operation: Callable[[], Awaitable[A]]) -> A:
        """Run a store operation and follow its reply. Raises `StoreError`; its effect is then unknown.

        One at a time: if a report's reply overtook a commit's, the store would seem to have lost the token.
        """
        async with self.turn:
            asked_at = self.clock.monotonic()
            answer = await operation()
            await self._follow(answer if isinstance(answer, State) else answer.state, asked_at)
            return answer

    async def peek(self) -> None:
        """Read the store and follow its reply. Raises `StoreError`."""
        await self.exchange(lambda: self.store.peek(self.replica.asks_beyond))

    async def _follow(self, state: State, asked_at: MonotonicTime) -> None:
        """Take the store's state, after seeding the store with what it lost."""
        self._notice_clock(state, asked_at)
        replica = self.replica
        if replica.clock_stepped or replica.knows_more_than(state):
            if not (replica.clock_stepped or replica.unsaved):
                self.sink.emit(StoreDataLost(profile=self.profile.name))
            asked_at = self.clock.monotonic()
            # This reply is not followed: the seed may fail, or reach another master. Its pauses and report do count.
            replica.hear(state)
            state = await self._seed()
            while replica.unsaved:
                # A local call ended during the seed: its result is not in the seed.
                state = await self._seed()
        self.fallback.unblock()
        if replica.follow(state, asked_at):
            self.announce(fetched=False)
        self.rotation.prove(state.proven)
        if replica.token is not None:
            # A store that lost its data has no list of proven credentials. The held token proves its own.
            self.rotation.prove([replica.token.credentials_id])

    def _notice_clock(self, state: State, asked_at: MonotonicTime) -> None:
        """Detect a step of the store's clock. Done first: data sent to the store next is dated by its present clock."""
        step_s = self.replica.store_time.step_s(state.now, asked_at)
        self.replica.store_time.follow(state.now, asked_at)
        if step_s:
            self.replica.clock_was_set()
            self.sink.emit(StoreClockStepped(profile=self.profile.name, step_s=step_s))

    async def _seed(self) -> State:
        self.replica.unsaved = False
        try:
            state = await self.store.seed(self.replica.remembered())
        except BaseException:
            self.replica.unsaved = True
            raise
        self.replica.clock_stepped = False
        return state

    def announce(self, *, fetched: bool) -> None:
        """Emit the event that names the token vended from now on."""
        token = self.replica.token
        if token is None:
            return
        self.sink.emit(
            TokenChanged(
                profile=self.profile.name,
                token_id=token.token_id,
                fetched=fetched,
                fence=token.fence,
                issued_at=self.replica.issued_at,
                expires_at=self.replica.issued_at + token.lifetime_s,
                lifetime=token.lifetime,
            )
        )
