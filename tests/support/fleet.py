"""A fleet of replicas in one process: the real broker and refresher on a virtual clock and one memory store."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from sidecar.core.errors import StoreError
from sidecar.core.model import Credentials, Profile, Secret, Token
from sidecar.core.ports import SharedState
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
from sidecar.stores.engine import MemoryStore
from sidecar.vending.assembly import Assembly, assemble
from sidecar.vending.broker import Broker
from sidecar.vending.refresher import Beat
from tests.support.partner import FakePartner
from tests.support.sink import ListSink
from tests.support.virtual_time import VirtualClock

T = TypeVar("T")


class Wire:
    """The connection of one replica to the store. It can be cut, also so that only replies are lost."""

    def __init__(self, inner: SharedState) -> None:
        self.inner = inner
        self.cut = False
        self.lose_answers_of: set[str] = set()
        self.delay_s = 0.0
        self.answer_delay_s: dict[str, float] = {}
        self.operations: list[str] = []
        self.cannot_open = False
        """The stored token is sealed with a key that this replica lacks."""

    async def _send(self, name: str, operation: Callable[[], Coroutine[Any, Any, T]]) -> T:
        self.operations.append(name)
        await asyncio.sleep(self.delay_s)
        if self.cut:
            await asyncio.sleep(0.5)
            raise StoreError(name, "ConnectionError")
        answer = await operation()
        if self.cannot_open:
            answer = _unreadable(answer)
        await asyncio.sleep(self.answer_delay_s.get(name, 0))
        if name in self.lose_answers_of:
            await asyncio.sleep(0.5)
            raise StoreError(name, "TimeoutError")
        return answer

    async def claim(self, ask: ClaimRequest) -> ClaimResult:
        if self.cannot_open:
            # Like the stores: a token that cannot be decrypted here is not returned again.
            ask = replace(ask, known=max(ask.known, (await self.inner.peek(0)).token_fence))
        return await self._send("claim", lambda: self.inner.claim(ask))

    async def commit(self, nonce: str, token: Token, age_s: float, learned: LearnedLifetime) -> Committed:
        return await self._send("commit", lambda: self.inner.commit(nonce, token, age_s, learned))

    async def fail(self, failed: FailureReport) -> State:
        return await self._send("fail", lambda: self.inner.fail(failed))

    async def reject(self, token_id: str, age_s: float) -> Rejection:
        return await self._send("reject", lambda: self.inner.reject(token_id, age_s))

    async def peek(self, known: int) -> State:
        return await self._send("peek", lambda: self.inner.peek(known))

    async def seed(self, remembered: ReplicaMemory) -> State:
        return await self._send("seed", lambda: self.inner.seed(remembered))


def _unreadable(answer: T) -> T:
    """The reply of a store for a token that cannot be decrypted here."""
    if not isinstance(answer, State):
        return replace(answer, state=_unreadable(answer.state))  # type: ignore[type-var,attr-defined]  # all others have one
    if not answer.token_id:
        return answer
    return replace(answer, token=None, token_fence=0, token_id="", damaged=("seal",))


class StoreClock(VirtualClock):
    """The clock of the store, which a test may set forward."""

    set_forward_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.set_forward_s


@dataclass
class FileCredentials:
    """Replaces the mounted directory; a test assigns other credentials."""

    credentials: Credentials

    def read(self) -> Credentials:
        return self.credentials


def credentials(secret: str = "secret-1") -> Credentials:
    return Credentials(api_key=Secret("key-1"), api_secret=Secret(secret))


@dataclass
class Replica:
    name: str
    parts: Assembly
    wire: Wire
    files: FileCredentials
    partner: FakePartner
    sink: ListSink
    task: asyncio.Task[None]

    @property
    def broker(self) -> Broker:
        return self.parts.broker

    async def token(self, min_ttl_s: float = 0) -> str:
        """Return the access token that an app gets now."""
        return (await self.broker.vend(min_ttl_s)).token.access.reveal()

    async def kill(self) -> None:
        """End it as SIGKILL does, without a message to the store."""
        self.wire.cut = True
        self.task.cancel()
        await self.broker.close()
        await asyncio.gather(self.task, return_exceptions=True)

    async def stop(self) -> None:
        self.parts.refresher.stop()
        await self.broker.close()
        await asyncio.gather(self.task, return_exceptions=True)


@dataclass
class Fleet:
    """A fleet; make it while a virtual loop runs."""

    profile: Profile = field(default_factory=lambda: Profile(base_url="https://partner.example"))
    partner: FakePartner = field(default_factory=FakePartner)
    replicas: list[Replica] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.clock = StoreClock()
        self.store = MemoryStore(self.clock)
        # A name is never used twice: it is the seed of the ids, and nonces must differ.
        self._numbers = itertools.count()

    def start(self, count: int = 1, *, secret: str = "secret-1") -> list[Replica]:
        started = [self._start(f"r{next(self._numbers)}", secret) for _ in range(count)]
        self.replicas += started
        return started

    def _start(self, name: str, secret: str) -> Replica:
        wire = Wire(self.store.shared_state(self.profile))
        files = FileCredentials(credentials(secret))
        sink = ListSink()
        clock = VirtualClock(seed=hash_of(name))
        parts = assemble(
            self.profile,
            replica_id=name,
            clock=clock,
            store=wire,
            partner=self.partner,
            credentials=files,
            sink=sink,
            beat=Beat(clock),
        )
        task = asyncio.ensure_future(parts.refresher.run())
        return Replica(name, parts, wire, files, self.partner, sink, task)

    def cut(self, *, cut: bool = True) -> None:
        """Cut all replicas off the store, or connect them again."""
        for replica in self.replicas:
            replica.wire.cut = cut

    def lose_data(self) -> None:
        """Have the store lose its data, so that it has another epoch."""
        self.store = MemoryStore(self.clock)
        for replica in self.replicas:
            replica.wire.inner = self.store.shared_state(self.profile)

    async def stop(self) -> None:
        await asyncio.gather(*(replica.stop() for replica in self.replicas))


def hash_of(name: str) -> int:
    """Return a hash that is the same in every run."""
    return sum(ord(letter) * 31**place for place, letter in enumerate(name))
