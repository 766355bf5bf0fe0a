"""Responses to known requests: found by the request's bytes, and rendered with the token that is vended now.

Invariant: a segment is answered from here only when the guards and the endpoint would give the same response to it.
That holds because

- a connection uses the fast path only at rest (`protocol`), and an entry is made only from a segment that was exactly
  one whole head. So a segment that is found is one complete request, and equal bytes are parsed alike;
- an entry is made only from a request that passed the guards and got a token (`TokenApi`). It is found only by the same
  bytes, from the same kind of peer (`Peer.key`: transport, uid, local address), under the same version of the caller
  tokens. The guards' decision depends on nothing else;
- profile, endpoint and form of the entry are a function of those bytes: a GET without a query and without a condition;
- the response is rendered from `TokenProvider.current()`, which never returns a suspect token. It is rendered again
  when the token is not held any more, when a second of its life or of `Date` has passed, or when the wall clock was set
  by a second or more. Without such a token the fast path returns no response;
- lines that neither guards nor endpoints read are removed before bytes are compared. This never turns other bytes into
  a whole head (`known_requests`). No entry is made from a head with two `User-Agent` lines, or an unusual form of one;
- metrics, audit lines and spans are emitted as for any other request. With `SIDECAR_LOG_LEVEL=debug`, which logs each
  request, there is no fast path.

No secret of a caller is stored here (`known_requests`). A token that is not vended any more is removed when the next
response is rendered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from sidecar.core.model import MonotonicTime, Seconds, UtcTime
from sidecar.core.ports import AuditSink, Clock, EventSink, RequestTally
from sidecar.core.process_events import Audited, Endpoint, RequestServed
from sidecar.credentials.caller_token import CallerTokens
from sidecar.vending.api import TokenProvider, VendedToken
from sidecar.web.responses import Response, wire_bytes
from sidecar.web.server.known_requests import MAX_REQUEST_BYTES, Key, KnownRequests, trace_of
from sidecar.web.server.socket_protocol import Peer

Render: TypeAlias = Callable[[VendedToken], Response]
"""Makes the response with this token, for one profile, endpoint and form; equal for equal ones of these."""


class Connection(Protocol):
    """The connection of a request. `caller` is the caller's name for the audit."""

    @property
    def peer(self) -> Peer: ...
    @property
    def caller(self) -> str: ...


@dataclass(slots=True, kw_only=True)
class CachedResponse:
    """The latest response of one profile, endpoint and form; `closes`: the caller asked to end the connection with it.

    It was made from `vended`, and its `Date` is `second` of the wall clock. Before `valid_until` only another token or
    a step of the wall clock makes it invalid.
    """

    render: Render
    closes: bool
    provider: TokenProvider
    endpoint: Endpoint
    tally: RequestTally
    vended: VendedToken | None = None
    data: bytes = b""
    second: UtcTime = 0
    valid_until: MonotonicTime = 0

    def forget(self) -> None:
        self.vended, self.data = None, b""


@dataclass(slots=True)
class _Entry:
    response: CachedResponse
    caller_tokens: CallerTokens | None


class FastPath:
    """A small table from the digests of requests to responses.

    `max_head_bytes` is the limit of a head without its last, empty line.
    `tally_of` returns the counter for the requests of a profile and endpoint; `caller_tokens` those in force. `audit`
    and `spans`, if set, get an event for each response; a span is made only for a request with a trace.
    """

    def __init__(
        self,
        clock: Clock,
        tally_of: Callable[[str, Endpoint], RequestTally],
        *,
        max_head_bytes: int = MAX_REQUEST_BYTES,
        caller_tokens: Callable[[], CallerTokens | None] = lambda: None,
        audit: AuditSink | None = None,
        spans: EventSink | None = None,
    ) -> None:
        self._now, self._wall = clock.monotonic, clock.wall
        self._tally_of = tally_of
        self._caller_tokens = caller_tokens
        self._audit = audit
        self._spans = spans
        self._observed = audit is not None or spans is not None
        self._known = KnownRequests[_Entry](max_head_bytes)
        self._responses: dict[tuple[str, Endpoint, Render, bool], CachedResponse] = {}
        self._closed = False

    def key_of(self, head: bytes, peer: Peer) -> Key | None:
        """Return the key of `head`, which must be exactly one request; None where it is never found."""
        return self._known.key_of(head, peer)

    def find(self, segment: bytes, connection: Connection) -> CachedResponse | None:
        """Return the response, after counting and auditing it; None when aiohttp has to handle the segment."""
        began = self._now()
        entry = self._known.find(segment, connection.peer)
        if entry is None:
            return None
        if entry.caller_tokens is not self._caller_tokens():
            self._known.forget(lambda entry: entry.caller_tokens is not self._caller_tokens())
            return None
        response = entry.response
        vended = response.vended
        if (
            vended is None
            or began >= response.valid_until
            or not 0 <= self._wall() - response.second < 1
            or not response.provider.holds(vended.token)
        ):
            vended = response.provider.current()
            if vended is None:
                return None
            self._render(response, vended)
        duration_s = self._now() - began
        response.tally.count("ok", duration_s)
        if self._observed:
            self._tell(response, vended, segment, connection, duration_s)
        return response

    def add(
        self,
        key: Key,
        render: Render,
        provider: TokenProvider,
        endpoint: Endpoint,
        *,
        caller_tokens: CallerTokens | None = None,
        closes: bool = False,
    ) -> None:
        """Add a request that passed the guards under these caller tokens and got a token; kept at the second time."""
        if self._closed:
            return
        meaning = provider.profile.name, endpoint, render, closes
        response = self._responses.get(meaning)
        if response is None:
            tally = self._tally_of(provider.profile.name, endpoint)
            response = self._responses[meaning] = CachedResponse(
                render=render, closes=closes, provider=provider, endpoint=endpoint, tally=tally
            )
        self._known.add(key, _Entry(response, caller_tokens))

    def close(self) -> None:
        """Remove every response, and add no more."""
        self._closed = True
        self._known.clear()
        self._responses.clear()

    def _render(self, response: CachedResponse, vended: VendedToken) -> None:
        for other in self._responses.values():
            if other.vended is not None and not other.provider.holds(other.vended.token):
                other.forget()
        now = self._now()
        wall = self._wall()
        second = int(wall)
        if vended is not response.vended or second != response.second:
            response.data = wire_bytes(response.render(vended), at=second, closes=response.closes)
            response.vended, response.second = vended, second
        response.valid_until = min(vended.valid_until, now + second + 1 - wall)

    def _tell(
        self, response: CachedResponse, vended: VendedToken, segment: bytes, connection: Connection, duration_s: Seconds
    ) -> None:
        profile, token_id = response.provider.profile.name, vended.token.token_id
        audit, spans = self._audit, self._spans
        if audit is not None and audit.is_told(profile, token_id, connection.caller):
            audit = None
        trace = trace_of(segment) if audit is not None or spans is not None else None
        if spans is not None and trace is not None:
            spans.emit(
                RequestServed(
                    profile=profile, endpoint=response.endpoint, code="ok", duration_s=duration_s, trace=trace
                )
            )
        if audit is not None:
            audit.emit(
                Audited(
                    profile=profile,
                    endpoint=response.endpoint,
                    caller=connection.caller,
                    token_id=token_id,
                    outcome="ok",
                    trace=trace,
                )
            )
