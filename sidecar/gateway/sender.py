"""Sends one request to the partner, with token and signature.

What an app is told of a failure depends on one fact: whether there was a connection for the request. Without one,
nothing was sent (502). With one, nobody here knows what the partner did (504), and nothing is sent again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import aiohttp
from yarl import URL

from sidecar.config.settings import SignedRequests
from sidecar.core.model import MonotonicTime, Seconds, UtcTime
from sidecar.core.partner_table import TokenHeader
from sidecar.core.ports import Clock
from sidecar.file_limit import cause_of
from sidecar.gateway.call import GatewayCall
from sidecar.gateway.connector import PartnerConnector
from sidecar.gateway.headers import VIA, as_read, for_partner, spelled_alike
from sidecar.gateway.payload import payload_of
from sidecar.partner.retry_after import parse_http_date
from sidecar.partner.transport import TRANSPORT_ERRORS, proxy_for
from sidecar.vending.api import VendedToken
from sidecar.vending.signer import Signer
from sidecar.web.responses import RequestError

READS: Final = ("GET", "HEAD")
"""The methods that change nothing at the partner (RFC 9110 section 9.2.1)."""
_READ_BYTES = 64 * 1024
"""Of a response: twice as much may be read ahead of a slow app, and what arrives at once with it."""
_MAX_HEAD_LINE_BYTES = 32 * 1024
_MEASURED_WITHIN_S: Seconds = 1
"""The `Date` of a response that took longer says too little about the partner's clock."""


class PartnerUnreachableError(RequestError):
    """There was no connection to the partner."""

    also = MappingProxyType({"sent": False})

    def __init__(self) -> None:
        super().__init__("partner-unreachable", "The partner could not be reached. Nothing was sent: try again.")


class OutcomeUnknownError(RequestError):
    """The request was sent, in whole or in part, and no whole response came. `cause` says why in a word or two."""

    also = MappingProxyType({"sent": True})

    def __init__(self, cause: str) -> None:
        super().__init__(
            "partner-outcome-unknown",
            "The request was sent, and no whole response came: the partner may have acted on it. Before sending it "
            "again, find out what became of it.",
        )
        self.cause = cause


@dataclass(frozen=True, slots=True, kw_only=True)
class AppRequest:
    """What an app sent. `target` is path and query."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: bytes


def open_gateway_session() -> aiohttp.ClientSession:
    """Return a session with a pool of connections, for one `Sender`; the caller closes it. Needs a running event loop.

    It adds nothing to a request and changes nothing in a response: no cookies, no decompression, no default headers.
    """
    trace = aiohttp.TraceConfig()

    async def connected(_session: object, context: object, _params: object) -> None:
        call: GatewayCall = context.trace_request_ctx  # type: ignore[attr-defined]
        call.connected()

    trace.on_connection_create_end.append(connected)
    trace.on_connection_reuseconn.append(connected)
    return aiohttp.ClientSession(
        connector=PartnerConnector(),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        trust_env=False,
        trace_configs=[trace],
        skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
        max_line_size=_MAX_HEAD_LINE_BYTES,
        max_field_size=_MAX_HEAD_LINE_BYTES,
        read_bufsize=_READ_BYTES,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
    )


class Sender:
    """For one profile. `base_url` is the only destination."""

    def __init__(
        self,
        *,
        base_url: str,
        token_header: TokenHeader,
        signer: Signer | None,
        sign: SignedRequests,
        session: aiohttp.ClientSession,
        certificates: Callable[[], Awaitable[object]],
        measure: Callable[[UtcTime, MonotonicTime, MonotonicTime], None],
        clock: Clock,
    ) -> None:
        """`signer` is None for a partner without signatures. `certificates` returns the value for aiohttp's `ssl`.

        `measure` is as for `PartnerClient`.
        """
        self._base_url = base_url.rstrip("/")
        self._proxy = proxy_for(base_url)
        self._token_header = token_header
        self._signer = signer
        self._signs_all = sign is SignedRequests.ALL
        names = (token_header.name, *(signer.headers if signer is not None else ()))
        self._ours = frozenset(map(as_read, names))
        self._session = session
        self._certificates = certificates
        self._measure = measure
        self._clock = clock
        self._date: tuple[str, UtcTime | None] = ("", None)
        """The latest `Date`, and its time: many responses within one second have the same."""

    def check_signing(self, request: AppRequest) -> None:
        """Raise `RequestError` for a request that has to be signed while there is no key."""
        if self._is_signed(request) and self._signer is not None and not self._signer.has_key:
            raise _no_key()

    async def send(
        self, request: AppRequest, call: GatewayCall, vended: VendedToken, until: MonotonicTime
    ) -> aiohttp.ClientResponse:
        """Send the request and return the response, whose body is not read yet. `until` is by the event loop's clock.

        Raises `PartnerUnreachableError`, `OutcomeUnknownError`, and `RequestError` where no signature can be made.
        """
        signature = await self._signature(request, call)
        url = self._base_url + request.target
        headers = [
            *spelled_alike(for_partner(request.headers, self._ours)),
            ("Via", VIA),
            (self._token_header.name, self._token_header.value(vended.token.access)),
            *signature.items(),
        ]
        call.begin(vended)
        sent_at = self._clock.monotonic()
        try:
            async with asyncio.timeout_at(until):
                response = await self._session.request(
                    request.method,
                    URL(url, encoded=True),
                    headers=headers,
                    data=payload_of(request.body),
                    allow_redirects=False,
                    proxy=self._proxy,
                    ssl=await self._certificates(),  # type: ignore[arg-type]
                    trace_request_ctx=call,
                    middlewares=() if request.method in READS else (_never_repeated,),
                )
        except TRANSPORT_ERRORS as error:
            # Without the cause: aiohttp's texts quote what the partner sent.
            if call.is_sent:
                raise OutcomeUnknownError(cause_of(error)) from None
            raise PartnerUnreachableError from None
        if response.status < 200:
            response.close()
            raise OutcomeUnknownError("another protocol")
        self._read_clock(response, sent_at)
        return response

    def _is_signed(self, request: AppRequest) -> bool:
        """Whether the partner wants this request to be signed."""
        return self._signer is not None and (self._signs_all or bool(request.body) or request.method not in READS)

    async def _signature(self, request: AppRequest, call: GatewayCall) -> Mapping[str, str]:
        if self._signer is None or not self._is_signed(request):
            return {}
        signed = await self._signer.sign(request.body)
        if signed is None:
            # The key was removed just now.
            raise _no_key()
        call.is_signed = True
        return signed.headers

    def _read_clock(self, response: aiohttp.ClientResponse, sent_at: MonotonicTime) -> None:
        now = self._clock.monotonic()
        if now - sent_at <= _MEASURED_WITHIN_S:
            text = response.headers.get("Date", "")
            if text != self._date[0]:
                self._date = text, parse_http_date(text, self._clock.wall())
            if (date := self._date[1]) is not None:
                self._measure(date, sent_at, now)


def _no_key() -> RequestError:
    return RequestError(
        "signing-not-configured",
        "This request has to be signed, and there is no signing key. Put it into the file 'signing-key' in "
        "SIDECAR_CREDENTIALS_DIR.",
    )


async def _never_repeated(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Prevent that aiohttp sends a write again when a kept connection is closed instead of a response."""
    try:
        return await handler(request)
    except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise aiohttp.ClientError(type(error).__name__) from None
