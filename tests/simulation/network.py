"""The network between a replica and the store: slow, lossy, cut, or so late that the caller has given up."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from sidecar.core.errors import StoreError
from sidecar.core.model import Profile, Token
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
from tests.simulation.process import OUTSIDE
from tests.support.virtual_loop import VirtualLoop

LATEST_S = 8.0
"""The longest time that a packet takes."""


@dataclass(slots=True)
class Path:
    """One replica's way to the store, for all its profiles; the fault injector changes it."""

    slow_s: float = 0.02
    """Each way takes up to this long."""
    refused: bool = False
    """Connections are refused at once."""
    black_hole: bool = False
    """All packets are lost, in both directions, without an error."""
    loss: float = 0.0
    """Share of replies that are lost after the store has decided."""
    late: float = 0.0
    """Share of requests that reach the store long after the caller has given up."""

    def reset(self) -> None:
        fine = Path()
        for name in self.__slots__:
            setattr(self, name, getattr(fine, name))

    @property
    def good(self) -> bool:
        return self == Path()


Decide = Callable[[str, tuple[Any, ...]], Any]
"""The store's side: runs one operation of `SharedState`, by name and arguments, at once."""


class Line:
    """A `SharedState` at the other end of a `Path`."""

    def __init__(
        self,
        path: Path,
        profile: Profile,
        decide: Decide,
        received: Callable[[Any], None],
        rng: random.Random,
        loop: VirtualLoop,
    ) -> None:
        self._loop = loop
        self._path = path
        self._timeout_s = profile.store_timeout_s
        self._decide = decide
        self._received = received
        self.decided_at = 0.0
        """When the store made the decision of the latest reply."""
        self._rng = rng
        self.sent = 0

    async def _ask(self, operation: str, *arguments: object) -> Any:  # noqa: ANN401 - each operation has its own answer
        self.sent += 1
        if self._path.refused:
            await asyncio.sleep(0.001)
            raise StoreError(operation, "ConnectionRefusedError")
        answer: asyncio.Future[Any] = self._loop.create_future()
        delay_s = self._delay_s()
        if self._rng.random() < self._path.late:
            delay_s = self._rng.uniform(self._timeout_s, LATEST_S)
        self._loop.call_later(delay_s, self._arrive, operation, arguments, answer, context=OUTSIDE)
        try:
            async with asyncio.timeout(self._timeout_s):
                return await answer
        except TimeoutError:
            raise StoreError(operation, "TimeoutError") from None

    def _arrive(self, operation: str, arguments: tuple[Any, ...], answer: asyncio.Future[Any]) -> None:
        """Let the store decide, whether or not a caller still waits."""
        if self._path.refused or self._path.black_hole:
            return
        decided = self._decide(operation, arguments)
        if self._rng.random() >= self._path.loss:
            self._loop.call_later(self._delay_s(), self._deliver, answer, decided, self._loop.now_s, context=OUTSIDE)

    def _deliver(self, answer: asyncio.Future[Any], decided: object, decided_at: float) -> None:
        if not (answer.done() or self._path.refused or self._path.black_hole):
            self.decided_at = decided_at
            self._received(decided)
            answer.set_result(decided)

    def _delay_s(self) -> float:
        return self._rng.random() * self._path.slow_s

    async def claim(self, ask: ClaimRequest) -> ClaimResult:
        return cast("ClaimResult", await self._ask("claim", ask))

    async def commit(self, nonce: str, token: Token, age_s: float, learned: LearnedLifetime) -> Committed:
        return cast("Committed", await self._ask("commit", nonce, token, age_s, learned))

    async def fail(self, failed: FailureReport) -> State:
        return cast("State", await self._ask("fail", failed))

    async def reject(self, token_id: str, age_s: float) -> Rejection:
        return cast("Rejection", await self._ask("reject", token_id, age_s))

    async def peek(self, known: int) -> State:
        return cast("State", await self._ask("peek", known))

    async def seed(self, remembered: ReplicaMemory) -> State:
        return cast("State", await self._ask("seed", remembered))
