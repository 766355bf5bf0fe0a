"""One listener of two, the connections of its clients, and the results that clients and operators see."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace

from sidecar.core.events import Event
from sidecar.core.listener_limits import Limits
from sidecar.core.model import Secret
from sidecar.core.partner_table import TokenHeader
from sidecar.core.process_events import Endpoint, RequestServed
from sidecar.credentials.caller_token import CallerTokens
from sidecar.web.api.app import TokenApi
from sidecar.web.api.guards import Guards
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.listener import HttpServer
from tests.fast_path.aging_provider import AgingProvider
from tests.fast_path.configurations import Configuration
from tests.fast_path.transport import ClientTransport, Received, TcpPeer, UnixPeer, settle
from tests.support.sink import ListAudit, ListSink
from tests.support.virtual_loop import running_loop
from tests.support.virtual_time import VirtualClock

TOKEN_HEADERS = {"default": TokenHeader("AccessToken"), "other": TokenHeader("X-Other")}


@dataclass(frozen=True)
class Seen:
    """The results since the previous check: of each client, in the metrics, in the audit, in spans, and elsewhere."""

    responses: Sequence[Sequence[Received]]
    """For each client, on each connection that it had."""
    counts: Counter[tuple[str, str, str]]
    """The requests by profile, endpoint and code."""
    audit: Counter[Event]
    spans: Counter[Event]
    other_events: Counter[Event]
    fast_responses: int = field(compare=False)
    """How many responses came from the fast path."""

    @property
    def tokens(self) -> int:
        """The number of requests that were answered with a token or with 304."""
        return sum(count for (*_, code), count in self.counts.items() if code in ("ok", "not-modified"))

    def differences(self, other: Seen) -> dict[str, tuple[object, object]]:
        pairs = {
            field.name: (getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)
            if field.compare
        }
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


WALL_STEP_S = 0.4375
"""Of the wall clock at the start: tokens and seconds of the wall clock do not begin at the same moments."""


class Backend:
    """Providers, caller tokens and time behind the listeners. Needs a running loop of virtual time."""

    def __init__(self, configuration: Configuration, limits: Limits | None = None) -> None:
        self.configuration = configuration
        self.limits = limits or Limits()
        self.clock = VirtualClock()
        self.clock.wall_step_s = WALL_STEP_S
        self.providers: Mapping[str, AgingProvider] = {name: AgingProvider(name, self.clock) for name in TOKEN_HEADERS}
        self.rotate(configuration.caller_tokens)

    def rotate(self, caller_tokens: Sequence[str]) -> None:
        """Require one of these caller tokens from now on, or none if there are none."""
        self.caller_tokens = CallerTokens(map(Secret, caller_tokens)) if caller_tokens else None

    @property
    def guards(self) -> Guards:
        return Guards(replace(self.configuration.guards, caller_tokens=lambda: self.caller_tokens))


class ObservedListener:
    """A listener whose clients are the peers of the configuration, each with one connection at a time."""

    def __init__(self, backend: Backend, *, has_fast_path: bool) -> None:
        configuration = backend.configuration
        self.sink, self._audit, self._spans = ListSink(), ListAudit(), ListSink()
        self._fast_counts: Counter[tuple[str, str, str]] = Counter()
        audit = self._audit if configuration.audit else None
        fast_path: FastPath | None = None
        if has_fast_path:
            fast_path = FastPath(
                backend.clock,
                lambda profile, endpoint: _Tally(self._fast_counts, profile, endpoint),
                caller_tokens=lambda: backend.caller_tokens,
                audit=audit,
                spans=self._spans if configuration.spans else None,
            )
        api = TokenApi(
            backend.providers, backend.guards, self.sink, backend.clock, TOKEN_HEADERS, audit=audit, fast_path=fast_path
        )
        self._server = HttpServer(api, self.sink, "vending", backend.limits, fast_path=fast_path)
        self._observes_spans = configuration.spans
        self.peers = configuration.peers
        self.connections = [self.connect(peer) for peer in self.peers]
        self._closed: list[list[ClientTransport]] = [[] for _ in self.peers]
        """The connections that each client has closed since the previous check."""

    def connect(self, peer: TcpPeer | UnixPeer) -> ClientTransport:
        """Open another connection of this client."""
        connection = ClientTransport(running_loop(), peer)
        connection.attach(self._server())
        return connection

    async def reconnect(self, client: int) -> None:
        """Close the client's connection and open another one."""
        connection = self.connections[client]
        self._closed[client].append(connection)
        connection.close()
        await settle()
        self.connections[client] = self.connect(self.peers[client])

    def drain(self) -> None:
        self._server.drain()

    @property
    def open_connections(self) -> int:
        return len(self._server.registry)

    @property
    def fast_responses(self) -> int:
        """Return the number of fast responses since the last check."""
        return self._fast_counts.total()

    def look(self) -> Seen:
        """Return what happened since the last check."""
        served = self.sink.of(RequestServed)
        spans = [*served, *self._spans.of(RequestServed)] if self._observes_spans else []
        seen = Seen(
            responses=[
                [connection.look() for connection in (*closed, connection)]
                for closed, connection in zip(self._closed, self.connections, strict=True)
            ],
            counts=self._fast_counts + Counter((event.profile, event.endpoint, event.code) for event in served),
            audit=Counter(self._audit.events),
            spans=Counter(replace(event, duration_s=0) for event in spans if event.trace is not None),
            other_events=Counter(event for event in self.sink.events if not isinstance(event, RequestServed)),
            fast_responses=self.fast_responses,
        )
        self._fast_counts.clear()
        for closed in self._closed:
            closed.clear()
        for sink in (self.sink, self._audit, self._spans):
            sink.events.clear()
            sink.timed.clear()
        return seen


class _Tally:
    """Counts the responses from the fast path."""

    def __init__(self, counts: Counter[tuple[str, str, str]], profile: str, endpoint: Endpoint) -> None:
        self._counts, self._profile, self._endpoint = counts, profile, endpoint

    def count(self, code: str, duration_s: float) -> None:
        self._counts[self._profile, self._endpoint, code] += 1
