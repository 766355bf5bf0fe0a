"""A vending listener on real sockets for one token provider, with or without the fast path."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from sidecar.core.listener_limits import Limits
from sidecar.core.model import Address
from sidecar.core.partner_table import TokenHeader
from sidecar.web.api.app import TokenApi
from sidecar.web.api.guards import Guards, GuardSettings
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.listener import HttpServer, Listener
from tests.support.fake_provider import FakeProvider, FixedClock
from tests.support.sink import ListSink
from tests.support.wire import LOOPBACK


class Counting:
    """A request tally that keeps its records."""

    def __init__(self) -> None:
        self.counted: list[tuple[str, float]] = []

    def count(self, code: str, duration_s: float) -> None:
        self.counted.append((code, duration_s))


@dataclass(frozen=True)
class FastListener:
    """`tally` counts the responses of the fast path."""

    listener: Listener
    tally: Counting

    @property
    def fast_responses(self) -> int:
        return len(self.tally.counted)


@asynccontextmanager
async def fast_listener(
    settings: GuardSettings | None = None,
    *,
    provider: FakeProvider | None = None,
    at: Sequence[Address] = (LOOPBACK,),
    fast: bool = True,
) -> AsyncIterator[FastListener]:
    sink, clock, tally = ListSink(), FixedClock(), Counting()
    fast_path = FastPath(clock, lambda _profile, _endpoint: tally) if fast else None
    providers, headers = {"default": provider or FakeProvider()}, {"default": TokenHeader("AccessToken")}
    api = TokenApi(providers, Guards(settings or GuardSettings()), sink, clock, headers, fast_path=fast_path)
    listener = Listener(HttpServer(api, sink, "vending", Limits(), fast_path=fast_path))
    await listener.start(at)
    try:
        yield FastListener(listener, tally)
    finally:
        await listener.stop(0.1)
