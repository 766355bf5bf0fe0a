"""Answers to requests whose meaning is known: found by their bytes, and made of the token that is vended now.

Invariant: a segment is answered from here only when the guards and the endpoint would give the same answer to it. That
holds because

- a connection looks here only at rest (`protocol`), and an entry is made only of a segment that was plainly one whole
  head: so what is found is a request by itself, and equal bytes are parsed alike;
- an entry is made only of a request that the guards let pass and that got a token (`TokenApi`), and it is found only by
  the same bytes, from the same kind of peer (`Peer.key`: transport, uid, local address), while the same version of the
  caller tokens is in force. Nothing else goes into the guards' decision;
- what the entry stands for, profile, endpoint and form, is a function of those bytes: a GET without a query and without
  a condition;
- the answer is rendered from `TokenProvider.current()`, which never gives a suspect token, and again whenever that may
  be another: the token is not held any more, a second of its life or of `Date` has passed, or somebody set the wall
  clock by a second or more. Without such a token there is no answer here;
- lines that neither guards nor endpoints read are left out before bytes are compared, which makes no whole head of what
  is none (`request_key`). No entry is made of a head with a second `User-Agent`, or with an odd form of one;
- metrics, audit lines and spans are emitted as for any other request. With `SIDECAR_LOG_LEVEL=debug`, which logs each
  request, there is no fast path.

No secret of a caller lies here (`known_requests`). A token that is not vended any more is forgotten when the next
answer is rendered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from sidecar.core.model import MonotonicTime, Seconds, UtcTime
from sidecar.core.ports import AuditSink, Clock, EventSink, RequestTally
from sidecar.core.request_events import Audited, Endpoint, RequestServed
from sidecar.vending.api import TokenProvider, VendedToken
from sidecar.web.answers import Response, wire_bytes
from sidecar.web.caller_tokens import CallerTokens
from sidecar.web.server.known_requests import Key, KnownRequests
from sidecar.web.server.peer import Peer
from sidecar.web.server.request_key import MAX_REQUEST_BYTES, trace_of

Render: TypeAlias = Callable[[VendedToken], Response]
"""Makes the answer with this token: one profile, endpoint and form. Equal where those are."""


class Connection(Protocol):
    """Who is answered."""

    @property
    def peer(self) -> Peer: ...

    @property
    def caller(self) -> str:
        """Its name for the audit."""
        ...


@dataclass(slots=True)
class CachedResponse:
    """The latest answer of one meaning; `closes`: the connection ends with it, as its caller asked.

    It was made of `vended`, and is dated with `second` of the wall clock. Before the moment `valid_until` only another
    token, or somebody who sets the wall clock, makes it untrue.
    """

    render: Render
    closes: bool
    vendor: TokenProvider
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
    """A small table from the digests of requests to answers.

    `max_head_bytes` is the limit of a head without its last, empty line.
    `tally_of` returns where the requests of a profile and endpoint are counted; `caller_tokens` those in force. `audit`
    and `spans`, where there are any, are told of each answer; a span is made only for a request with a trace.
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
        """What `head`, which is plainly one whole request, is found by; None where it is never found."""
        return self._known.key_of(head, peer)

    def find(self, segment: bytes, connection: Connection) -> CachedResponse | None:
        """The answer, counted and told as given; None when the segment has to go the long way."""
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
            or not response.vendor.holds(vended.token)
        ):
            vended = response.vendor.current()
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
        vendor: TokenProvider,
        endpoint: Endpoint,
        *,
        caller_tokens: CallerTokens | None = None,
        closes: bool = False,
    ) -> None:
        """This request passed the guards under these caller tokens, and got a token. What is seen twice is kept."""
        if self._closed:
            return
        meaning = vendor.profile.name, endpoint, render, closes
        response = self._responses.get(meaning)
        if response is None:
            tally = self._tally_of(vendor.profile.name, endpoint)
            response = self._responses[meaning] = CachedResponse(render, closes, vendor, endpoint, tally)
        self._known.add(key, _Entry(response, caller_tokens))

    def close(self) -> None:
        """Forget every answer, and learn none."""
        self._closed = True
        self._known.clear()
        self._responses.clear()

    def _render(self, response: CachedResponse, vended: VendedToken) -> None:
        for other in self._responses.values():
            if other.vended is not None and not other.vendor.holds(other.vended.token):
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
        profile, token_id = response.vendor.profile.name, vended.token.token_id
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
