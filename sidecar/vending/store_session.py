"""One profile's exchange with the store: each reply is followed, and what the store lost is seeded.

Emits events when the store fails, recovers, holds unusable values, loses data or has its clock set.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sidecar.core.errors import StoreError
from sidecar.core.events import (
    StoreClockStepped,
    StoreDataLost,
    StoredValueDiscarded,
    StoreFailed,
    StoreRecovered,
    TokenChanged,
)
from sidecar.core.model import MonotonicTime, Token
from sidecar.core.ports import Clock, EventSink, SharedState
from sidecar.core.shared_state import (
    ClaimRequest,
    ClaimResult,
    Committed,
    FailureReport,
    LearnedLifetime,
    Outcome,
    Rejection,
    State,
)
from sidecar.vending.credential_rotation import CredentialRotation
from sidecar.vending.local_budget import OutageBudget
from sidecar.vending.replica_state import ReplicaState

Reply = TypeVar("Reply", bound=State | ClaimResult | Committed | Rejection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The store's decision on a claim. `asked_at` is the local time before the store was asked."""

    nonce: str
    asked_at: MonotonicTime
    outcome: Outcome


@dataclass(slots=True, kw_only=True, eq=False)
class StoreSession:
    """One for each profile and process. Each operation raises `StoreError`; its effect is then unknown."""

    profile_name: str
    replica_id: str
    store: SharedState
    replica: ReplicaState
    rotation: CredentialRotation
    outage: OutageBudget
    clock: Clock
    sink: EventSink
    up: bool = field(default=True, init=False)
    """Whether the last operation got a reply."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)
    _unanswered: tuple[str, int] = field(default=("", 0), init=False)
    """The nonce of a claim whose reply was lost, and the fence known then."""
    _damaged: tuple[str, ...] = field(default=(), init=False)

    # -- operations ---------------------------------------------------------------------------------------------------

    async def claim(self, known: int, credentials_id: str, *, caller_requested: bool) -> Claim:
        """Ask for the lease. If this is cancelled, the store is told that the lease is not used."""
        nonce, state = self._nonce(known), self.replica.mirror.state
        ask = ClaimRequest(
            nonce=nonce,
            known=known,
            fence=state.fence,
            epoch=state.epoch,
            caller_requested=caller_requested,
            credentials_id=credentials_id,
        )
        sent_at: MonotonicTime = 0

        def send(asked_at: MonotonicTime) -> Awaitable[ClaimResult]:
            nonlocal sent_at
            sent_at = asked_at
            return self.store.claim(ask)

        try:
            claimed = await self._exchange(send)
        except asyncio.CancelledError:
            # This process stops, and the lease may be granted by now. No replica should wait for its limit.
            with contextlib.suppress(StoreError):
                await self._watch(self.store.fail(FailureReport(nonce=nonce, fence=0, credentials_id=credentials_id)))
            raise
        self._unanswered = ("", 0)
        return Claim(nonce=nonce, asked_at=sent_at, outcome=claimed.outcome)

    def _nonce(self, known: int) -> str:
        """Return the nonce of the claim that got no reply, if there is one: its lease may exist, and is granted again.

        With another nonce this replica would have to wait for the limit of its own lease. Once another token is held,
        the nonce is new: that token may be newer than the lease's fence.
        """
        if not self._unanswered[0] or self._unanswered[1] != known:
            self._unanswered = (f"{self.replica_id}/{self.clock.new_id()}", known)
        return self._unanswered[0]

    async def commit(self, nonce: str, token: Token, learned: LearnedLifetime, born: MonotonicTime) -> Committed:
        """Store the token, which was requested at `born`."""
        return await self._exchange(lambda asked_at: self.store.commit(nonce, token, asked_at - born, learned))

    async def fail(self, failed: FailureReport) -> None:
        await self._exchange(lambda _: self.store.fail(failed))

    async def reject(self, token_id: str) -> Rejection:
        """Report the held token."""
        return await self._exchange(lambda asked_at: self.store.reject(token_id, self.replica.age_s(asked_at)))

    async def peek(self) -> None:
        await self._exchange(lambda _: self.store.peek(self.replica.asks_beyond))

    # -- replies ------------------------------------------------------------------------------------------------------

    async def _exchange(self, operation: Callable[[MonotonicTime], Awaitable[Reply]]) -> Reply:
        """Run the operation with the time when its turn came, and follow its reply.

        One at a time: if a report's reply overtook a commit's, the store would seem to have lost the token.
        """
        async with self._turn:
            asked_at = self.clock.monotonic()
            reply = await self._watch(operation(asked_at))
            await self._follow(_state_of(reply), asked_at)
            return reply

    async def _watch(self, operation: Awaitable[Reply]) -> Reply:
        """Await the reply; emit the events that the store failed, is back, or holds unusable values."""
        try:
            reply = await operation
        except StoreError as error:
            self.up = False
            self.sink.emit(
                StoreFailed(
                    profile=self.profile_name, operation=error.operation, cause=error.cause, address=error.address
                )
            )
            raise
        if not self.up:
            self.up = True
            self.sink.emit(StoreRecovered(profile=self.profile_name))
        damaged = _state_of(reply).damaged
        if damaged != self._damaged:
            self._damaged = damaged
            for what in damaged:
                self.sink.emit(StoredValueDiscarded(profile=self.profile_name, what=what))
        return reply

    async def _follow(self, state: State, asked_at: MonotonicTime) -> None:
        """Take the store's state, after seeding the store with what it lost."""
        replica = self.replica
        # First: data sent to the store next is dated by its present clock.
        if step_s := replica.follow_clock(state.now, asked_at):
            self.sink.emit(StoreClockStepped(profile=self.profile_name, step_s=step_s))
        if replica.clock_stepped or replica.knows_more_than(state):
            if not (replica.clock_stepped or replica.has_unsaved):
                self.sink.emit(StoreDataLost(profile=self.profile_name))
            asked_at = self.clock.monotonic()
            # This reply is not followed: the seed may fail, or reach another master. Its pauses and report do count.
            replica.hear(state)
            state = await self._seed()
            while replica.has_unsaved:
                # A local call ended during the seed: its result is not in the seed.
                state = await self._seed()
        self.outage.unblock()
        if replica.follow(state, asked_at):
            self.announce(fetched=False)
        self.rotation.prove(state.proven)
        if replica.token is not None:
            # A store that lost its data has no list of proven credentials. The held token proves its own.
            self.rotation.prove([replica.token.credentials_id])

    async def _seed(self) -> State:
        with self.replica.offered() as remembered:
            return await self._watch(self.store.seed(remembered))

    def announce(self, *, fetched: bool) -> None:
        """Emit the event that names the token vended from now on."""
        replica, token = self.replica, self.replica.token
        if token is None:
            return
        self.sink.emit(
            TokenChanged(
                profile=self.profile_name,
                token_id=token.token_id,
                fetched=fetched,
                fence=token.fence,
                issued_at=replica.issued_at,
                expires_at=replica.issued_at + token.lifetime_s,
                lifetime=token.lifetime,
            )
        )


def _state_of(reply: State | ClaimResult | Committed | Rejection) -> State:
    return reply if isinstance(reply, State) else reply.state
