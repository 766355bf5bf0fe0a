"""An `httpx.Auth`: `httpx.Client(auth=SidecarAuth())`, or `AsyncClient`."""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Generator, Mapping
from os import PathLike
from typing import Any, TypeAlias

import httpx

from sidecar.client.origin_headers import OriginHeaders
from sidecar.client.requests import (
    DEFAULT_URL,
    MAX_RESPONSE_BYTES,
    TIMEOUT_S,
    PartnerHeaders,
    SidecarRequest,
    SidecarRequests,
    check_reported,
    partner_headers,
)

# Connections to the sidecar never use TLS. Without this context, each transport would load the system's certificates.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

_Limits: TypeAlias = dict[str, float]
_Reply: TypeAlias = tuple[int, Mapping[str, str], bytes]


class SidecarAuth(httpx.Auth):
    """Adds the sidecar's current token to each request. After a 401, reports the token and retries once with the next.

    A 401 is returned when there is no other token, or when the retry gets a 401, too. The request's body is read into
    memory, so that it can be sent twice. Calls to the sidecar are direct: they do not use the client's proxies, hooks,
    redirects and history. Use it only for the partner.

    The token is sent only to the origin (scheme, host and port) of the request. If the client follows a redirect to
    another origin, that request has no token, and a 401 to it is neither reported nor retried. Headers that are listed,
    copied or printed do not contain the token.

    With `sign` each request also gets the partner's signature of its body: all but GET, HEAD, OPTIONS and TRACE without
    a body. The retry has a new signature. A signature is sent where the token is.

    Each step of a call to the sidecar may take as long as the request's own `timeout`, and at most `timeout_s` seconds.
    Requests raise `TokenUnavailableError` when the sidecar has no token or does not sign, `httpx.TransportError` when
    no sidecar responds.
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

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.read()
        limits = self._limits(request)
        origin = OriginHeaders(request, asynchronous=False)
        sent = origin.put(request, self._headers(request, limits))
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED or not origin.is_at_origin(response):
            return
        status, _, body = self._send(self._requests.rejected(sent.token), limits)
        check_reported(status, body)
        # The request that got the 401: after a redirect this is not the first request.
        request = response.request
        request.read()
        current = self._headers(request, limits)
        if current.token != sent.token:
            origin.put(request, current)
            yield request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await request.aread()
        limits = self._limits(request)
        origin = OriginHeaders(request, asynchronous=True)
        sent = origin.put(request, await self._headers_async(request, limits))
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED or not origin.is_at_origin(response):
            return
        status, _, body = await self._send_async(self._requests.rejected(sent.token), limits)
        check_reported(status, body)
        request = response.request
        await request.aread()
        current = await self._headers_async(request, limits)
        if current.token != sent.token:
            origin.put(request, current)
            yield request

    def _limits(self, request: httpx.Request) -> _Limits:
        """Return the time limit of each step of a request to the sidecar: the app's own limit, at most `timeout_s`."""
        theirs: Mapping[str, Any] = request.extensions.get("timeout", {})
        ours_s = self._requests.timeout_s
        steps = ("connect", "read", "write", "pool")
        return {step: ours_s if (limit := theirs.get(step)) is None else min(limit, ours_s) for step in steps}

    def _headers(self, request: httpx.Request, limits: _Limits) -> PartnerHeaders:
        wanted = self._requests.headers(request.method, request.content)
        return partner_headers(wanted, *self._send(wanted, limits))

    async def _headers_async(self, request: httpx.Request, limits: _Limits) -> PartnerHeaders:
        wanted = self._requests.headers(request.method, request.content)
        return partner_headers(wanted, *await self._send_async(wanted, limits))

    def _send(self, request: SidecarRequest, limits: _Limits) -> _Reply:
        reply = self._send_once(request, limits)
        retry = self._requests.retry(request, reply[0])
        return reply if retry is None else self._send_once(retry, limits)

    async def _send_async(self, request: SidecarRequest, limits: _Limits) -> _Reply:
        reply = await self._send_once_async(request, limits)
        retry = self._requests.retry(request, reply[0])
        return reply if retry is None else await self._send_once_async(retry, limits)

    def _send_once(self, request: SidecarRequest, limits: _Limits) -> _Reply:
        """Send on a new connection: nothing stays open, and no connection is shared by threads or event loops."""
        body = b""
        with httpx.HTTPTransport(verify=_NO_TLS, uds=self._requests.socket_path) as transport:
            response = transport.handle_request(_request(request, limits))
            for part in response.iter_raw():
                body += part
                if len(body) > MAX_RESPONSE_BYTES:
                    break
            return response.status_code, response.headers, body

    async def _send_once_async(self, request: SidecarRequest, limits: _Limits) -> _Reply:
        body = b""
        async with httpx.AsyncHTTPTransport(verify=_NO_TLS, uds=self._requests.socket_path) as transport:
            response = await transport.handle_async_request(_request(request, limits))
            async for part in response.aiter_raw():
                body += part
                if len(body) > MAX_RESPONSE_BYTES:
                    break
            return response.status_code, response.headers, body


def _request(request: SidecarRequest, limits: _Limits) -> httpx.Request:
    headers = {**request.headers, "Connection": "close"}
    extensions = {"timeout": limits}
    return httpx.Request(request.method, request.url, headers=headers, content=request.body, extensions=extensions)
