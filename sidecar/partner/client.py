"""Partner calls over HTTP, each of at most one request."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import aiohttp
from aiohttp.abc import AbstractStreamWriter

from sidecar.core.errors import AnswerProblem, FailureKind, PartnerError, UnsentError
from sidecar.core.model import Credentials, MonotonicTime, PartnerToken, Seconds, Secret, UtcTime
from sidecar.core.partner_table import PartnerTable
from sidecar.core.ports import Clock, MaySend
from sidecar.file_limit import cause_of
from sidecar.partner.response import MAX_BODY_BYTES, PartnerResponse, read_response
from sidecar.partner.retry_after import parse_http_date
from sidecar.partner.token_request import Assertion, TokenRequest, grant_request, refresh_request
from sidecar.partner.transport import TRANSPORT_ERRORS, PartnerCertificates, kind_of_error, proxy_for


class PartnerClient:
    """`core.ports.Partner` over HTTP, for one partner account; `session` comes from `open_session`.

    One method call is at most one request: POSTs are never repeated here. `timeout_s` bounds a whole call, connecting
    and reading included.
    """

    def __init__(
        self,
        table: PartnerTable,
        base_url: str,
        timeout_s: Seconds,
        session: aiohttp.ClientSession,
        clock: Clock,
        other_secrets: Callable[[], Sequence[str]] = tuple,
        certificates: PartnerCertificates | None = None,
        measure: Callable[[UtcTime, MonotonicTime, MonotonicTime], None] = lambda _date, _sent_at, _received_at: None,
    ) -> None:
        """`other_secrets` are masked in the partner's texts, in addition to secrets sent or received here.

        `certificates` are the trusted ones; None: those at the start of the process. `measure` gets the `Date` of each
        response that has one, when its request was sent and when it was received.
        """
        self._table = table
        self._base_url = base_url.rstrip("/")
        self._timeout_s = timeout_s
        self._session = session
        self._clock = clock
        self._other_secrets = other_secrets
        self._certificates = certificates
        self._measure = measure
        self._issued: deque[Secret] = deque(maxlen=8)

    @property
    def can_refresh(self) -> bool:
        return bool(self._table.refresh_path)

    async def grant(self, credentials: Credentials, role: str, may_send: MaySend) -> PartnerToken:
        return await self._call(grant_request(self._table, credentials, role, self._assertion()), role, may_send)

    async def refresh(
        self, refresh_token: Secret, credentials: Credentials, role: str, may_send: MaySend
    ) -> PartnerToken:
        if not self.can_refresh:
            raise PartnerError(FailureKind.BAD_REQUEST)
        request = refresh_request(self._table, refresh_token, credentials, role, self._assertion())
        return await self._call(request, role, may_send)

    def _assertion(self) -> Assertion:
        audience = self._table.assertion_audience or self._base_url + self._table.token_path
        return Assertion(audience=audience, jwt_id=self._clock.new_id() + self._clock.new_id(), now=self._clock.wall())

    async def _call(self, request: TokenRequest, role: str, may_send: MaySend) -> PartnerToken:
        timely = _TimelyBody(request.body, request.content_type, may_send, self._clock)
        response = await self._exchange(self._base_url + request.path, request.headers, timely)
        # A partner may quote secrets of other calls: the credentials in a refresh error, an old token in a grant error.
        known = (*request.secrets, *self._other_secrets(), *(token.reveal() for token in self._issued))
        token = read_response(response, self._table, role, self._clock.wall(), known)
        self._issued.extend(issued for issued in (token.access, token.refresh) if issued is not None)
        return token

    async def _exchange(self, url: str, headers: Mapping[str, str], body: _TimelyBody) -> PartnerResponse:
        head: PartnerResponse | None = None
        try:
            # The timeout is outermost, so that a body sent too slowly ends like a missing response.
            async with (
                asyncio.timeout(self._timeout_s),
                self._session.post(
                    url,
                    data=body,
                    headers=headers,
                    proxy=proxy_for(url),
                    allow_redirects=False,
                    ssl=True if self._certificates is None else await self._certificates.context(),
                ) as response,
            ):
                head = PartnerResponse(response.status, response.headers)
                self._read_clock(head, body.sent_at)
                return replace(head, body=await read_capped(response.content))
        except TRANSPORT_ERRORS as error:
            if body.withheld:
                raise UnsentError from None
            if head is not None and head.status != self._table.success_status:
                # The status is sufficient, most of all for a 429; the rest of the body would only explain it.
                return head
            # Without the cause: aiohttp's texts quote data from the partner or a proxy, which may contain secrets.
            kind = kind_of_error(error)
            problem = AnswerProblem.TRANSFER if kind is FailureKind.MALFORMED else None
            raise PartnerError(kind, cause=cause_of(error), problem=problem) from None

    def _read_clock(self, head: PartnerResponse, sent_at: MonotonicTime) -> None:
        date = parse_http_date(head.headers.get("Date", ""), self._clock.wall())
        if date is not None:
            self._measure(date, sent_at, self._clock.monotonic())


class _TimelyBody(aiohttp.BytesPayload):
    """A request body that is only sent if `may_send` returns true immediately before.

    aiohttp delays the head until the first byte of the body, and writes both in one step. So nothing of a withheld
    request was sent. Name look-up, connecting and TLS are complete by then, however long they took.
    """

    def __init__(self, content: bytes, content_type: str, may_send: MaySend, clock: Clock) -> None:
        super().__init__(content, content_type=content_type)
        self._may_send = may_send
        self._clock = clock
        self.withheld = False
        self.sent_at: MonotonicTime = clock.monotonic()

    async def write_with_length(self, writer: AbstractStreamWriter, content_length: int | None) -> None:
        if not self._may_send():
            self.withheld = True
            raise UnsentError
        self.sent_at = self._clock.monotonic()
        await super().write_with_length(writer, content_length)


async def read_capped(stream: aiohttp.StreamReader) -> bytes:
    """Return the body, or its first `MAX_BODY_BYTES` + 1 bytes: enough to detect that it is too long."""
    body = bytearray()
    while len(body) <= MAX_BODY_BYTES:
        chunk = await stream.read(MAX_BODY_BYTES + 1 - len(body))
        if not chunk:
            break
        body += chunk
    return bytes(body)
