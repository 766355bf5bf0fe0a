"""Answers to requests whose meaning is known: found by their bytes, and made of the token that is vended now.

Invariant: a segment is answered from here only when the guards and the endpoint would give the same answer to it. That
holds because

- a connection looks here only at rest, and only with a segment that is plainly one whole head (`protocol`): so it is a
  request by itself, and equal bytes are parsed alike;
- an entry is made only of a request that the guards let pass and that got a token (`TokenApi`), and it is found only by
  the same bytes, from the same kind of peer (`Peer.key`: transport, uid, local address), while the same version of the
  caller tokens is in force. Nothing else goes into the guards' decision;
- what the entry stands for, profile, endpoint and form, is a function of those bytes: a GET without a query and without
  a condition;
- the answer is rendered from `Vendor.current()`, which never gives a suspect token, again whenever that or
  the second of `Date` is another. Without such a token there is no answer here;
- lines that neither guards nor endpoints read are left out before bytes are compared: a closed list of names, each in
  one strict form, in a head whose size and number of lines are within every limit. A line that is continued is not left
  out. Of several `User-Agent`s, which aiohttp refuses, one is, and a head that still has another is never found;
- metrics, audit lines and spans are emitted as for any other request. With `SIDECAR_LOG_LEVEL=debug`, which logs each
  request, there is no fast path.

No request lies here, and so no secret of a caller: entries are found by a keyed BLAKE2b digest, with a key that this
process makes. A token that is not vended any more is forgotten when the next answer is rendered.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import Protocol, TypeAlias

from sidecar.core.model import Seconds
from sidecar.core.ports import Clock, EventSink, RequestTally
from sidecar.core.request_events import Audited, Endpoint, RequestServed
from sidecar.core.trace_context import TraceContext, trace_context
from sidecar.vending.vendor import Vended, Vendor
from sidecar.web.answers import Response, wire_bytes
from sidecar.web.caller_tokens import CallerTokens
from sidecar.web.server.peer import Peer

MAX_ENTRIES = 1024
MAX_SEEN = 1024
MAX_REQUEST_BYTES = 4096
MAX_LINES = 64
"""Half as many as aiohttp takes."""
_DIGEST_BYTES = 16

Render: TypeAlias = Callable[[Vended], Response]
"""Makes the answer with this token: one profile, endpoint and form. Equal where those are."""

_TRACES = re.compile(
    rb"\r\n(?i:traceparent|tracestate|baggage|b3|x-b3-[a-z]{1,16}+|x-request-id|request-id|x-correlation-id"
    rb"|correlation-id|x-trace-id|trace-id|x-amzn-trace-id|x-cloud-trace-context|uber-trace-id|sentry-trace)"
    rb": [!-~]{1,512}+(?=\r\n[^ \t])"
)
"""W3C Trace Context and Baggage, B3, and what clouds and gateways add to each request."""
_USER_AGENT = re.compile(rb"\r\n(?i:user-agent): [!-~][ -~]{0,511}+(?=\r\n[^ \t])")
_TRACEPARENT = re.compile(rb"\r\n(?i:traceparent): ([!-~]{1,512}+)(?=\r\n[^ \t])")
_NOT_LEFT_OUT = re.compile(rb"\r\n(?i:user-agent|traceparent)[ \t]*:")


class Caller(Protocol):
    """Who is answered."""

    @property
    def caller(self) -> str:
        """Its name for the audit."""
        ...


@dataclass(slots=True)
class CachedResponse:
    """The latest answer of one meaning; `closes`: the connection ends with it, as its caller asked.

    It was made of `vended`, and is dated with `second` of the wall clock.
    """

    render: Render
    closes: bool
    vendor: Vendor
    endpoint: Endpoint
    tally: RequestTally
    vended: Vended | None = None
    data: bytes = b""
    second: int = 0

    def forget(self) -> None:
        self.vended, self.data = None, b""


@dataclass(slots=True)
class _Entry:
    response: CachedResponse
    caller_tokens: CallerTokens | None


class FastPath:
    """A small table from the digests of requests to answers.

    `tally_of` returns where the requests of a profile and endpoint are counted; `caller_tokens` those in force. `audit`
    and `spans`, where there are any, are told of each answer; a span is made only for a request with a trace.
    """

    def __init__(
        self,
        clock: Clock,
        tally_of: Callable[[str, Endpoint], RequestTally],
        *,
        caller_tokens: Callable[[], CallerTokens | None] = lambda: None,
        audit: EventSink | None = None,
        spans: EventSink | None = None,
    ) -> None:
        self._now, self._wall = clock.monotonic, clock.wall
        self._tally_of = tally_of
        self._caller_tokens = caller_tokens
        self._audit = audit
        self._spans = spans
        self._observed = audit is not None or spans is not None
        self._key = secrets.token_bytes(32)
        self._entries: dict[bytes, _Entry] = {}
        self._responses: dict[tuple[str, Endpoint, Render, bool], CachedResponse] = {}
        self._seen: dict[bytes, None] = {}
        self._closed = False

    def key_of(self, head: bytes, peer: Peer) -> bytes | None:
        """The digest that `head` is found by, which is plainly one whole request; None where it is never found."""
        if len(head) > MAX_REQUEST_BYTES or head.count(b"\n") > MAX_LINES:
            return None
        read = _USER_AGENT.sub(b"", _TRACES.sub(b"", head), count=1)
        if _NOT_LEFT_OUT.search(read):
            return None
        return blake2b(peer.key + read, key=self._key, digest_size=_DIGEST_BYTES).digest()

    def find(self, key: bytes, head: bytes, caller: Caller) -> CachedResponse | None:
        """The answer, counted and told as given; None when the request has to go the long way."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        if entry.caller_tokens is not self._caller_tokens():
            del self._entries[key]
            return None
        began = self._now()
        response = entry.response
        vended = response.vendor.current()
        if vended is None:
            return None
        if vended is not response.vended or int(self._wall()) != response.second:
            self._render(response, vended)
        duration_s = self._now() - began
        response.tally.count("ok", duration_s)
        if self._observed:
            self._tell(response, vended, head, caller, duration_s)
        return response

    def add(
        self,
        key: bytes,
        render: Render,
        vended: Vended,
        vendor: Vendor,
        endpoint: Endpoint,
        *,
        caller_tokens: CallerTokens | None = None,
        closes: bool = False,
    ) -> None:
        """This request passed the guards under these caller tokens, and got this token. What is seen twice is kept."""
        if self._closed or not self._was_seen(key):
            return
        meaning = vendor.profile.name, endpoint, render, closes
        response = self._responses.get(meaning)
        if response is None:
            tally = self._tally_of(vendor.profile.name, endpoint)
            response = self._responses[meaning] = CachedResponse(render, closes, vendor, endpoint, tally)
        self._render(response, vended)
        if key not in self._entries and len(self._entries) >= MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[key] = _Entry(response, caller_tokens)

    def close(self) -> None:
        """Forget every answer, and learn none."""
        self._closed = True
        self._entries.clear()
        self._responses.clear()

    def _render(self, response: CachedResponse, vended: Vended) -> None:
        for other in self._responses.values():
            if other.vended is not None and not other.vendor.holds(other.vended.token):
                other.forget()
        second = int(self._wall())
        response.data = wire_bytes(response.render(vended), at=second, closes=response.closes)
        response.vended, response.second = vended, second

    def _tell(self, response: CachedResponse, vended: Vended, head: bytes, caller: Caller, duration_s: Seconds) -> None:
        trace = _trace_of(head)
        profile = response.vendor.profile.name
        if self._spans is not None and trace is not None:
            self._spans.emit(
                RequestServed(
                    profile=profile, endpoint=response.endpoint, code="ok", duration_s=duration_s, trace=trace
                )
            )
        if self._audit is not None:
            self._audit.emit(
                Audited(
                    profile=profile,
                    endpoint=response.endpoint,
                    caller=caller.caller,
                    token_id=vended.token.token_id,
                    outcome="ok",
                    trace=trace,
                )
            )

    def _was_seen(self, key: bytes) -> bool:
        if key in self._entries:
            return True
        if key in self._seen:
            del self._seen[key]
            return True
        if len(self._seen) >= MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[key] = None
        return False


def _trace_of(head: bytes) -> TraceContext | None:
    return trace_context([value.decode() for value in _TRACEPARENT.findall(head)])
