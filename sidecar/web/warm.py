"""Answers that need no second look: the bytes of a request that was answered with the current token, and that answer.

Invariant: a request is answered from here only when the same bytes, on a connection in the same state, would get the
same answer from the whole of aiohttp, the guards and the endpoint. Identical bytes at a message boundary parse
identically, so every guard decides as it did. What else an answer is made of is looked at each time, or ends it:

- the token: `Vendor.holds` says whether it is still vended, unmarked;
- `expiresIn` and `Date` are whole seconds: an answer lives until the first of them changes, or the token's life ends.
  The second of `Date` is compared with the wall clock: once that is set, every instant in the answer is another;
- the connection: nothing is under way on it, and everything before came one whole request a piece (`Connection`);
- where callers are told apart (a caller token, user ids, the audit) or requests are logged, there is no table at all;
- where traces are exported, a request with a `traceparent` is never answered from here.

What differs with each request is a trace: lines of the tracing headers below, in their plainest form, are left out
before bytes are compared, where the bytes are one head: the request line first, the empty line last and nowhere
before. Elsewhere the same bytes are no header lines. Nothing else reads them, both of aiohttp's parsers take each
line by itself, and what has so few lines and bytes is within every limit. Any other request that differs each time
never enters: only what is seen twice does.

Nor does one that carries a secret, which would stay here with it. A token that is vended no more is forgotten when the
next answer is learned.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime

from aiohttp.web_response import Response

from sidecar.core.model import Moment, Token
from sidecar.core.ports import Clock, RequestTally
from sidecar.core.request_events import Endpoint
from sidecar.vending.vendor import Vended, Vendor
from sidecar.web.answers import wire_bytes

MAX_REQUESTS = 64
MAX_SEEN = 1024
MAX_REQUEST_BYTES = 4096
MAX_TRACED_LINES = 64
"""Half as many as a request may have."""
MAX_TRACED_BYTES = 1024
"""The least that SIDECAR_MAX_HEADER_BYTES may be."""
_LINE_END, _HEAD_END = b"\r\n", b"\r\n\r\n"
_NEVER_READ = (
    rb"tracestate|baggage|b3|x-b3-[a-z]{1,16}|x-request-id|request-id|x-correlation-id|correlation-id|x-trace-id|trace-id"
    rb"|x-amzn-trace-id|x-cloud-trace-context|uber-trace-id|sentry-trace"
)
"""W3C Trace Context and Baggage, B3, and what the large clouds and gateways add."""


def _lines(names: bytes) -> re.Pattern[bytes]:
    return re.compile(rb"\r\n(?:" + names + rb"): [!-~]{1,512}(?=\r\n)", re.IGNORECASE)


_TRACES, _TRACES_BUT_ONE = _lines(rb"traceparent|" + _NEVER_READ), _lines(_NEVER_READ)
_TRACEPARENT = re.compile(rb"\r\ntraceparent[ \t]*:", re.IGNORECASE)
_SECRETS = re.compile(rb"\r\n(?:(?:proxy-)?authorization|cookie|sidecar-token)[ \t]*:", re.IGNORECASE)


@dataclass(slots=True)
class Warm:
    """One answer. `closes`: the connection ends with it, as its caller asked."""

    answer: bytes
    closes: bool
    token: Token | None
    vendor: Vendor
    good_until: Moment
    second: int
    """The second of the wall clock that it is dated with."""
    tally: RequestTally

    @property
    def is_held(self) -> bool:
        return self.token is not None and self.vendor.holds(self.token)

    def forget(self) -> None:
        """Keep the request, which may be asked again, and nothing of the answer."""
        self.answer, self.token, self.good_until = b"", None, 0


class WarmAnswers:
    """A small table from requests to answers. `tally_of` names where the requests of a profile and endpoint count."""

    def __init__(
        self, clock: Clock, tally_of: Callable[[str, Endpoint], RequestTally], *, traced: bool = False
    ) -> None:
        """`traced`: each request with a `traceparent` is told of."""
        self._now, self._wall = clock.monotonic, clock.wall
        self._tally_of = tally_of
        self._traced = traced
        self._closed = False
        self._unread = _TRACES_BUT_ONE if traced else _TRACES
        self._known: dict[bytes, Warm] = {}
        # By hash: a request that shares it with another only enters a little sooner.
        self._seen: dict[int, None] = {}

    def find(self, request: bytes) -> Warm | None:
        """The answer to these bytes, counted as given; None when they have to go the long way."""
        warm = self._known.get(request) or self._known.get(self._without_traces(request))
        if warm is None:
            return None
        if self._now() >= warm.good_until or int(self._wall()) != warm.second or not warm.is_held:
            return None
        # What a look takes is less than clocks can tell.
        warm.tally.count("ok", 0.0)
        return warm

    def close(self) -> None:
        """Forget every answer, and learn none."""
        self._closed = True
        self._known.clear()

    def learn(
        self,
        request: bytes,
        response: Response,
        vended: Vended,
        vendor: Vendor,
        endpoint: Endpoint,
        *,
        closes: bool = False,
    ) -> None:
        """These bytes were answered so, just now, from memory."""
        if self._closed:
            return
        request = self._without_traces(request)
        if self._traced and _TRACEPARENT.search(request):
            return
        if len(request) > MAX_REQUEST_BYTES or _SECRETS.search(request) or not self._seen_before(request):
            return
        for warm in self._known.values():
            if not warm.is_held:
                warm.forget()
        second = int(self._wall())
        if request not in self._known and len(self._known) >= MAX_REQUESTS:
            del self._known[next(iter(self._known))]
        self._known[request] = Warm(
            answer=wire_bytes(response, date=_http_date(second), closes=closes),
            closes=closes,
            token=vended.token,
            vendor=vendor,
            good_until=vended.good_until,
            second=second,
            tally=self._tally_of(vendor.profile.name, endpoint),
        )

    def _without_traces(self, request: bytes) -> bytes:
        """The same request without the lines that nobody reads; as it is, where it is no head or a large one."""
        if len(request) > MAX_TRACED_BYTES or request.count(_LINE_END) > MAX_TRACED_LINES:
            return request
        if request.startswith(_LINE_END) or request.find(_HEAD_END) != len(request) - len(_HEAD_END):
            return request
        return self._unread.sub(b"", request)

    def _seen_before(self, request: bytes) -> bool:
        if request in self._known:
            return True
        mark = hash(request)
        if mark in self._seen:
            del self._seen[mark]
            return True
        if len(self._seen) >= MAX_SEEN:
            del self._seen[next(iter(self._seen))]
        self._seen[mark] = None
        return False


def _http_date(at: int) -> str:
    return format_datetime(datetime.fromtimestamp(at, UTC), usegmt=True)
