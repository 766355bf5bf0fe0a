"""What the use cases of one profile work with, and the two things all of them do: follow the store, and say so."""

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
    """One set for each profile and process."""

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
        """Ask the store, and follow its answer. Raises `StoreError`, with the answer unknown.

        One at a time: a report's answer that overtook a commit's would look like a store that lost the token.
        """
        async with self.turn:
            asked_at = self.clock.monotonic()
            answer = await operation()
            await self._follow(answer if isinstance(answer, State) else answer.state, asked_at)
            return answer

    async def peek(self) -> None:
        """Look at the store and follow it. Raises `StoreError`."""
        await self.exchange(lambda: self.store.peek(self.replica.asks_beyond))

    async def _follow(self, state: State, asked_at: MonotonicTime) -> None:
        """Take the store's word, after reminding it of what it lost."""
        self._notice_clock(state, asked_at)
        replica = self.replica
        if replica.clock_stepped or replica.knows_more_than(state):
            if not (replica.clock_stepped or replica.unsaved):
                self.sink.emit(StoreDataLost(profile=self.profile.name))
            asked_at = self.clock.monotonic()
            # This answer is never followed: the seed may fail, or reach another master. What it tells counts even so.
            replica.hear(state)
            state = await self._seed()
            while replica.unsaved:
                # A local call ended while the store was being told: its end is not in what it was told.
                state = await self._seed()
        self.fallback.unblock()
        if replica.follow(state, asked_at):
            self.announce(fetched=False)
        self.rotation.prove(state.proven)
        if replica.token is not None:
            # A store that lost its data forgot who proved what; the token itself is the proof.
            self.rotation.prove([replica.token.credentials_id])

    def _notice_clock(self, state: State, asked_at: MonotonicTime) -> None:
        """Before anything else: what the store is told next is told by its clock as it is now."""
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
        """Say which token is vended from now on."""
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
