"""A client middleware for aiohttp: `aiohttp.ClientSession(middlewares=[SidecarAuth()])`.

Token and signature are sent only to the origin that the app requested (scheme, host and port), also while aiohttp
follows redirects. A middleware cannot distinguish the requests of a redirect chain from the app's own. They follow one
another in one task, so the response to a request shows whether the next one in this task follows a redirect.
"""

from __future__ import annotations

import io
import math
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from os import PathLike
from typing import TypeAlias
from weakref import ReferenceType, ref

import aiohttp
from aiohttp.payload import Payload
from yarl import URL

from sidecar.client.requests import (
    DEFAULT_URL,
    MAX_RESPONSE_BYTES,
    TIMEOUT_S,
    PartnerHeader,
    PartnerHeaders,
    SidecarRequest,
    SidecarRequests,
    check_reported,
    partner_headers,
)
from sidecar.client.signed_body import read_body

_UNAUTHORIZED = 401
_REDIRECTS = (301, 302, 303, 307, 308)

_Reply: TypeAlias = tuple[int, Mapping[str, str], bytes]
"""Status, headers and body."""


@dataclass(frozen=True, slots=True)
class _Redirect:
    """The last response in this task: the first origin of its chain, and the origin it redirects to (None: unclear)."""

    session: ReferenceType[aiohttp.ClientSession]
    first: URL
    target: URL | None


_redirect: ContextVar[_Redirect | None] = ContextVar("sidecar_client_redirect", default=None)


def first_origin(request: aiohttp.ClientRequest) -> URL:
    """Return the origin that the app requested: the request's own, unless it follows a redirect."""
    origin = request.url.origin()
    redirect = _redirect.get()
    if redirect is None or redirect.session() is not request.session or redirect.target not in (None, origin):
        return origin
    return redirect.first


def remember(request: aiohttp.ClientRequest, first: URL, response: aiohttp.ClientResponse) -> aiohttp.ClientResponse:
    """Store the redirect of a response in a chain that began at `first`, for the next request; return the response.

    Call it for each response, but not for failures: aiohttp itself repeats a request whose connection broke.
    """
    is_redirect = response.status in _REDIRECTS
    _redirect.set(_Redirect(ref(request.session), first, _target(response)) if is_redirect else None)
    return response


def _target(response: aiohttp.ClientResponse) -> URL | None:
    location = response.headers.get("Location") or response.headers.get("URI")
    try:
        return None if location is None else response.url.join(URL(location)).origin()
    except ValueError:
        return None


class SidecarAuth:
    """Adds the sidecar's current token to each request. After a 401, reports the token and retries once with the next.

    A 401 is returned when there is no other token, when the retry gets a 401, too, or when the body was a stream that
    cannot be sent again. Calls to the sidecar are direct: they do not use the session's proxies, cookies and headers.
    Use it only for the partner.

    The token is sent only to the origin (scheme, host and port) of the request. If the session follows a redirect to
    another origin, that request has no token, and a 401 to it is neither reported nor retried. A middleware around this
    one must not run each request in its own task: redirects are detected by their task. Responses and the errors of
    aiohttp do not contain the token.

    With `sign` each request also gets the partner's signature of its body: all but GET, HEAD, OPTIONS and TRACE without
    a body. The body is read into memory, and exactly these bytes are sent, so a stream is retried, too. The retry has
    a new signature. A signature is sent where the token is. Requests raise `ValueError` for a body that cannot be
    signed: with `compress`, or when it was read before. A middleware that changes the body must come before this one.

    Each call to the sidecar may take as long as the request's or the session's own `timeout`, and at most `timeout_s`
    seconds. Requests raise `TokenUnavailableError` when the sidecar has no token or does not sign,
    `aiohttp.ClientError` or `TimeoutError` when no sidecar responds.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        profile: str = "",
        caller_token: str = "",
        caller_token_file: str | PathLike[str] | None = None,
        timeout_s: float = TIMEOUT_S,
        sign: bool = False,
    ) -> None:
        """Takes the arguments of `SidecarRequests`. Raises `ValueError`."""
        self._requests = SidecarRequests(url, profile, caller_token, caller_token_file, timeout_s, sign=sign)

    def __repr__(self) -> str:
        return f"SidecarAuth({self._requests!r})"

    async def __call__(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        first = first_origin(request)
        if request.url.origin() != first:
            return remember(request, first, await handler(request))
        return remember(request, first, await self._with_token(request, handler))

    async def _with_token(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        limits = self._limits(request, handler)
        body = await read_body(request) if self._requests.sign else b""
        sent = await self._headers(request.method, body, limits)
        response = await _send_with(sent, request, handler)
        if response.status != _UNAUTHORIZED:
            return response
        try:
            await self._report(sent.token, limits)
            current = await self._headers(request.method, body, limits)
        except BaseException:
            # Also when cancelled: the caller does not get this response, so it cannot release the connection.
            response.close()
            raise
        if current.token == sent.token or not _can_be_sent_again(request):
            return response
        response.release()
        return await _send_with(current, request, handler)

    def _limits(self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientTimeout:
        """Return the time limits of a call to the sidecar: the app's own limits, at most `timeout_s` in all."""
        theirs = next(_limits_in(handler), request.session.timeout)
        return aiohttp.ClientTimeout(
            # None and 0 mean no limit.
            total=min(self._requests.timeout_s, theirs.total or math.inf),
            connect=theirs.connect,
            sock_connect=theirs.sock_connect,
            sock_read=theirs.sock_read,
        )

    async def _headers(self, method: str, body: bytes, limits: aiohttp.ClientTimeout) -> PartnerHeaders:
        wanted = self._requests.headers(method, body)
        return partner_headers(wanted, *await self._send(wanted, limits))

    async def _report(self, rejected: PartnerHeader, limits: aiohttp.ClientTimeout) -> None:
        status, _, body = await self._send(self._requests.rejected(rejected), limits)
        check_reported(status, body)

    async def _send(self, request: SidecarRequest, limits: aiohttp.ClientTimeout) -> _Reply:
        reply = await self._send_once(request, limits)
        retry = self._requests.retry(request, reply[0])
        return reply if retry is None else await self._send_once(retry, limits)

    async def _send_once(self, request: SidecarRequest, limits: aiohttp.ClientTimeout) -> _Reply:
        """Return status, headers and body. Uses a new session: the app's may have proxies and default headers."""
        path = self._requests.socket_path
        connector = aiohttp.UnixConnector(path) if path else aiohttp.TCPConnector()
        # aiohttp warns about large bodies that are `bytes`.
        data = io.BytesIO(request.body) if request.body else None
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limits, auto_decompress=False) as session,
            session.request(
                request.method, request.url, headers=request.headers, data=data, allow_redirects=False
            ) as response,
        ):
            body = b""
            while len(body) <= MAX_RESPONSE_BYTES and (part := await response.content.read(MAX_RESPONSE_BYTES)):
                body += part
            if response.connection is not None and response.connection.transport is not None:
                # The sidecar did not read all of a large body: without this the connection waits until it does.
                response.connection.transport.abort()
            return response.status, dict(response.headers), body


def _limits_in(handler: object) -> Iterator[aiohttp.ClientTimeout]:
    """Yield the time limits of this one request: aiohttp shows a middleware only those of the session.

    They are in the closure of the innermost handler, a function of aiohttp. If that changes, none are found.
    """
    if not str(getattr(handler, "__module__", "")).startswith("aiohttp."):
        return
    for cell in getattr(handler, "__closure__", None) or ():
        if isinstance(cell.cell_contents, aiohttp.ClientTimeout):
            yield cell.cell_contents
        else:
            yield from _limits_in(cell.cell_contents)


async def _send_with(
    headers: PartnerHeaders, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send the request with these headers, then remove them: responses and errors show the headers of the request."""
    for header in headers:
        request.headers[header.name] = header.value
    try:
        return await handler(request)
    finally:
        for header in headers:
            request.headers.popall(header.name, None)


def _can_be_sent_again(request: aiohttp.ClientRequest) -> bool:
    return not (isinstance(request.body, Payload) and request.body.consumed)
