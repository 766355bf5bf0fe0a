"""Two listeners with one backend, one with the fast path and one without, and clients that send the same to both."""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.core.listener_limits import Limits
from tests.fast_path.configurations import Configuration
from tests.fast_path.listener import Backend, ObservedListener
from tests.fast_path.transport import settle
from tests.support.virtual_loop import running_loop


class DifferenceError(AssertionError):
    """The two listeners differ in something that clients or operators see."""


@dataclass(frozen=True)
class Outcome:
    """The number of requests that were answered with a token or with 304, and how many of them by the fast path."""

    responses: int = 0
    fast_responses: int = 0


class ListenerPair:
    """Two listeners on a running loop of virtual time. The clients are the peers of the configuration, by number."""

    def __init__(self, configuration: Configuration, limits: Limits | None = None) -> None:
        self.backend = Backend(configuration, limits)
        self.fast = ObservedListener(self.backend, has_fast_path=True)
        self.long = ObservedListener(self.backend, has_fast_path=False)
        self.listeners = (self.fast, self.long)
        self.outcome = Outcome()
        self._errors: list[str] = []
        running_loop().set_exception_handler(lambda _, context: self._errors.append(repr(context)))

    async def send(self, client: int, *pieces: bytes) -> None:
        """Send each piece after both listeners have processed the previous one."""
        for piece in pieces:
            await self.send_at_once((client, piece))

    async def send_at_once(self, *sent: tuple[int, bytes]) -> None:
        """Send all pieces before the event loop runs again."""
        for listener in self.listeners:
            for client, piece in sent:
                listener.connections[client].receive(piece)
            await settle()

    async def half_close(self, client: int, data: bytes = b"") -> None:
        """Send `data` and close the client's writing side before the event loop runs again."""
        for listener in self.listeners:
            if data:
                listener.connections[client].receive(data)
            listener.connections[client].receive_eof()
            await settle()

    async def reconnect(self, client: int) -> None:
        for listener in self.listeners:
            await listener.reconnect(client)

    async def reconnect_closed(self, client: int) -> None:
        """Open another connection of the client if both listeners have closed its present one."""
        connections = [listener.connections[client] for listener in self.listeners]
        if all(connection.is_closing() or connection.wrote_eof for connection in connections):
            await self.reconnect(client)

    async def end_waits(self) -> None:
        """Answer every request that waits for a token, or for another one."""
        for provider in self.backend.providers.values():
            provider.another.set()
        await settle()
        for provider in self.backend.providers.values():
            provider.another.clear()

    async def close(self) -> None:
        for listener in self.listeners:
            for connection in listener.connections:
                connection.close()
        await settle()

    def begin_count(self) -> None:
        """Start to count; earlier responses do not count."""
        self.compare()
        self.outcome = Outcome()

    def compare(self) -> None:
        """Raise `DifferenceError` if anything differs since the previous comparison."""
        fast, long = (listener.look() for listener in self.listeners)
        if differences := fast.differences(long):
            raise DifferenceError(differences)
        if self._errors:
            raise DifferenceError(f"the event loop complained: {self._errors}")
        self.outcome = Outcome(self.outcome.responses + long.tokens, self.outcome.fast_responses + fast.fast_responses)
