"""What the use cases of one profile share: their objects, the exchange with the store, and the event of a new token."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sidecar.core.events import StoreClockStepped, StoreDataLost, TokenChanged
from sidecar.core.model import MonotonicTime, Profile
from sidecar.core.ports import Clock, EventSink, Partner
from sidecar.core.shared_state import ClaimResult, Committed, Rejection, State
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.grant_history import GrantHistory
from sidecar.vending.outage_budget import OutageBudget
from sidecar.vending.replica_state import ReplicaState
from sidecar.vending.watched import WatchedState

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
