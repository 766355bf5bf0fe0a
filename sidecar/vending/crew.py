"""What the use cases of one profile work with, and the two things all of them do: follow the store, and say so."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from sidecar.core.events import StoreClockStepped, StoreDataLost, TokenChanged
from sidecar.core.model import Moment, Profile
from sidecar.core.ports import Clock, EventSink, Partner
from sidecar.core.shared import Claimed, Committed, Rejection, State
from sidecar.vending.fallback import Fallback
from sidecar.vending.keyring import Keyring
from sidecar.vending.ledger import Ledger
from sidecar.vending.view import View
from sidecar.vending.watched import WatchedState

A = TypeVar("A", bound=State | Claimed | Committed | Rejection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Crew:
    """One set for each profile and process."""

    profile: Profile
    replica_id: str
    clock: Clock
    store: WatchedState
    partner: Partner
    keyring: Keyring
    view: View
    fallback: Fallback
    ledger: Ledger
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
        await self.exchange(lambda: self.store.peek(self.view.asks_beyond))

    async def _follow(self, state: State, asked_at: Moment) -> None:
        """Take the store's word, after reminding it of what it lost."""
        self._notice_clock(state, asked_at)
        view = self.view
        if view.clock_stepped or view.knows_more_than(state):
            if not (view.clock_stepped or view.unsaved):
                self.sink.emit(StoreDataLost(profile=self.profile.name))
            asked_at = self.clock.monotonic()
            # This answer is never followed: the seed may fail, or reach another master. What it tells counts even so.
            view.hear(state)
            state = await self._seed()
            while view.unsaved:
                # A local call ended while the store was being told: its end is not in what it was told.
                state = await self._seed()
        self.fallback.unblock()
        if view.follow(state, asked_at):
            self.announce(fetched=False)
        self.keyring.prove(state.proven)
        if view.token is not None:
            # A store that lost its data forgot who proved what; the token itself is the proof.
            self.keyring.prove([view.token.credentials_id])

    def _notice_clock(self, state: State, asked_at: Moment) -> None:
        """Before anything else: what the store is told next is told by its clock as it is now."""
        step_s = self.view.store_time.step_s(state.now, asked_at)
        self.view.store_time.follow(state.now, asked_at)
        if step_s:
            self.view.clock_was_set()
            self.sink.emit(StoreClockStepped(profile=self.profile.name, step_s=step_s))

    async def _seed(self) -> State:
        self.view.unsaved = False
        try:
            state = await self.store.seed(self.view.remembered())
        except BaseException:
            self.view.unsaved = True
            raise
        self.view.clock_stepped = False
        return state

    def announce(self, *, fetched: bool) -> None:
        """Say which token is vended from now on."""
        token = self.view.token
        if token is None:
            return
        self.sink.emit(
            TokenChanged(
                profile=self.profile.name,
                token_id=token.token_id,
                fetched=fetched,
                fence=token.fence,
                issued_at=self.view.issued_at,
                expires_at=self.view.issued_at + token.lifetime_s,
                lifetime=token.lifetime,
            )
        )
