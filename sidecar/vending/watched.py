"""Watches the shared state: emits events when the store fails, recovers, or holds unusable values."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol, TypeVar

from sidecar.core.errors import StoreError
from sidecar.core.events import StoredValueDiscarded, StoreFailed, StoreRecovered
from sidecar.core.model import Seconds, Token
from sidecar.core.ports import EventSink, SharedState
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


class _HasState(Protocol):
    @property
    def state(self) -> State: ...


A = TypeVar("A", bound=_HasState)
B = TypeVar("B")


class WatchedState:
    """A `SharedState` that passes every call on. `up` is whether the last call got a reply."""

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

    async def _answered(self, operation: Awaitable[A]) -> A:
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
