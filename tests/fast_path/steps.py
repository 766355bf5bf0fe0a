"""The steps of a test with two listeners: actions of clients, and changes of time, tokens and caller tokens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from tests.fast_path.configurations import Configuration
from tests.fast_path.listener_pair import ListenerPair, Outcome
from tests.fast_path.transport import settle
from tests.support.virtual_loop import VirtualLoop

STORED = 3


class Step(Protocol):
    async def run(self, pair: ListenerPair) -> None: ...


@dataclass(frozen=True)
class Send:
    """A client sends these pieces, each after the previous one was processed. As in all steps, it has a new
    connection if the previous one was closed."""

    client: int
    pieces: tuple[bytes, ...]

    async def run(self, pair: ListenerPair) -> None:
        await pair.reconnect_closed(self.client)
        await pair.send(self.client, *self.pieces)


@dataclass(frozen=True)
class Repeat:
    """A client sends the same request several times, and reads each response before it goes on."""

    client: int
    request: bytes
    times: int

    async def run(self, pair: ListenerPair) -> None:
        for _ in range(self.times):
            await pair.reconnect_closed(self.client)
            await pair.send(self.client, self.request)


@dataclass(frozen=True)
class SendAtOnce:
    """Pieces of several clients arrive before the event loop runs again."""

    sent: tuple[tuple[int, bytes], ...]

    async def run(self, pair: ListenerPair) -> None:
        for client, _ in self.sent:
            await pair.reconnect_closed(client)
        await pair.send_at_once(*self.sent)


@dataclass(frozen=True)
class SendOnResponse:
    """A client sends `following` in the turn of the event loop after the first response to `data`."""

    client: int
    data: bytes
    following: bytes

    async def run(self, pair: ListenerPair) -> None:
        await pair.reconnect_closed(self.client)
        for listener in pair.listeners:
            listener.connections[self.client].sends_next = self.following
        await pair.send(self.client, self.data)
        for listener in pair.listeners:
            listener.connections[self.client].sends_next = b""


@dataclass(frozen=True)
class HalfClose:
    """A client closes its writing side."""

    client: int

    async def run(self, pair: ListenerPair) -> None:
        await pair.half_close(self.client)


@dataclass(frozen=True)
class SendAndHalfClose:
    """A client's data and the end of its writing side arrive before the event loop runs again."""

    client: int
    data: bytes

    async def run(self, pair: ListenerPair) -> None:
        await pair.reconnect_closed(self.client)
        await pair.half_close(self.client, self.data)


@dataclass(frozen=True)
class Reconnect:
    """A client closes its connection, and opens another one."""

    client: int

    async def run(self, pair: ListenerPair) -> None:
        await pair.reconnect(self.client)


@dataclass(frozen=True)
class StopReading:
    """A client reads no responses, and its connection's buffer is full."""

    client: int

    async def run(self, pair: ListenerPair) -> None:
        for listener in pair.listeners:
            listener.connections[self.client].fill()


@dataclass(frozen=True)
class ReadOn:
    client: int

    async def run(self, pair: ListenerPair) -> None:
        for listener in pair.listeners:
            listener.connections[self.client].empty()
            await settle()


@dataclass(frozen=True)
class Wait:
    """Time passes: on the event loop, for tokens, and on the wall clock."""

    delay_s: float

    async def run(self, pair: ListenerPair) -> None:
        await asyncio.sleep(self.delay_s)
        await settle()


@dataclass(frozen=True)
class SetWallClock:
    """The wall clock is set: this much ahead of the clock of the event loop."""

    step_s: float

    async def run(self, pair: ListenerPair) -> None:
        pair.backend.clock.wall_step_s = self.step_s


@dataclass(frozen=True)
class IssueToken:
    number: int
    profile: str = "default"

    async def run(self, pair: ListenerPair) -> None:
        pair.backend.providers[self.profile].issue(self.number)


@dataclass(frozen=True)
class ChangeToken:
    """`how` is a method of `AgingProvider`: `copy`, `mark_suspect`, `withdraw` or `delay`."""

    how: str
    profile: str = "default"

    async def run(self, pair: ListenerPair) -> None:
        change: Callable[[], None] = getattr(pair.backend.providers[self.profile], self.how)
        change()


@dataclass(frozen=True)
class EndWaits:
    """Each request that waits for a token, or for another one, is answered."""

    async def run(self, pair: ListenerPair) -> None:
        await pair.end_waits()


@dataclass(frozen=True)
class RotateCallerTokens:
    """These caller tokens are valid from now on, if the configuration has any."""

    caller_tokens: tuple[str, ...]

    async def run(self, pair: ListenerPair) -> None:
        if pair.backend.configuration.caller_tokens:
            pair.backend.rotate(self.caller_tokens)


@dataclass(frozen=True)
class Drain:
    async def run(self, pair: ListenerPair) -> None:
        for listener in pair.listeners:
            listener.drain()


@dataclass(frozen=True)
class StoreResponses:
    """Each client sends the first known requests until they are stored in the fast path. These do not count."""

    async def run(self, pair: ListenerPair) -> None:
        for client in range(len(pair.backend.configuration.peers)):
            known = pair.backend.configuration.known[:STORED]
            await pair.send(client, *known, *known)
        pair.begin_count()


def run_steps(configuration: Configuration, steps: Sequence[Step]) -> Outcome:
    """Run the steps with two new listeners. Raises `DifferenceError` after the first step with a difference."""

    async def run() -> Outcome:
        pair = ListenerPair(configuration)
        for step in steps:
            await step.run(pair)
            pair.compare()
        await pair.close()
        pair.compare()
        return pair.outcome

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(run())
