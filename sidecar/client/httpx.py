"""An `httpx.Auth`: `httpx.Client(auth=SidecarAuth())`, or `AsyncClient`.

The token is sent only to the origin that the app requested (scheme, host and port). An `httpx.Auth` handles a request
and its redirects as one. httpx makes the request of a redirect from a copy of the headers, without `Authorization`, and
with the same extensions. So no copy of the headers has the token, and the extension `trace` adds it to each request to
the origin: also after a redirect, and where instrumentation has replaced the headers by a copy. A transport without
support for `trace` sends the token only with the first request.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Mapping
from os import PathLike
from typing import Any, TypeAlias

import httpx

from sidecar.client.requests import (
    DEFAULT_URL,
    MAX_RESPONSE_BYTES,
    TIMEOUT_S,
    PartnerHeader,
    SidecarRequest,
    SidecarRequests,
    check_reported,
    partner_header,
)

# Connections to the sidecar never use TLS. Without this context, each transport would load the system's certificates.
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)

_Info: TypeAlias = dict[str, Any]
_Limits: TypeAlias = dict[str, float]
_Reply: TypeAlias = tuple[int, Mapping[str, str], bytes]
_Origin: TypeAlias = tuple[str, str, int | None]
_PORTS = {"http": 80, "https": 443}


class OriginToken:
    """Adds a token to a request, for its own origin only; `asynchronous`: whether its transport awaits `trace`."""

    def __init__(self, request: httpx.Request, *, asynchronous: bool) -> None:
        self._origin = _origin(request.url)
        self._asynchronous = asynchronous
        self._app_trace = request.extensions.get("trace")

    def put(self, request: httpx.Request, header: PartnerHeader) -> PartnerHeader:
        """Set this header on the request, and replace one that was set before."""
        request.headers = _HeadersWithToken(request.headers, header)
        trace = self._async_trace(header) if self._asynchronous else self._trace(header)
        request.extensions = {**request.extensions, "trace": trace}
        return header

    def is_at_origin(self, response: httpx.Response) -> bool:
        """Return whether the response belongs to a request with the token."""
        return _origin(response.request.url) == self._origin

    def _trace(self, header: PartnerHeader) -> Callable[[str, _Info], None]:
        def trace(event: str, info: _Info) -> None:
            self._add(event, info, header)
            if self._app_trace is not None:
                self._app_trace(event, info)

        return trace

    def _async_trace(self, header: PartnerHeader) -> Callable[[str, _Info], Awaitable[None]]:
        async def trace(event: str, info: _Info) -> None:
            self._add(event, info, header)
            if self._app_trace is not None:
                await self._app_trace(event, info)

        return trace

    def _add(self, event: str, info: Mapping[str, Any], header: PartnerHeader) -> None:
        if not event.endswith(".send_request_headers.started"):
            return
        # A request of httpcore; this may be the CONNECT to a proxy.
        request = info["request"]
        name = header.name.encode("ascii")
        there = any(known.lower() == name.lower() for known, _ in request.headers)
        if not there and request.method != b"CONNECT" and _destination(request.url) == self._origin:
            request.headers = [*request.headers, (name, header.value.encode("ascii"))]


class _HeadersWithToken(httpx.Headers):
    """Headers with a token that is sent and can be read by its name. Copies, listings and `repr` do not contain it."""

    def __init__(self, headers: httpx.Headers, token: PartnerHeader) -> None:
        without = httpx.Headers(headers)
        without.pop(token.name, None)
        super().__init__(without)
        self._token = token

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        return [*super().raw, (self._token.name.encode("ascii"), self._token.value.encode("ascii"))]

    def __getitem__(self, key: str) -> str:
        return self._token.value if key.lower() == self._token.name.lower() else super().__getitem__(key)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and (key.lower() == self._token.name.lower() or super().__contains__(key))


def _origin(url: httpx.URL) -> _Origin:
    return url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme)


def _destination(url: Any) -> _Origin:  # noqa: ANN401 - httpcore's URL; httpx alone is what this package needs
    """Return the final destination of a request. With a proxy the URL is the proxy's; its target is the destination."""
    if not url.target.startswith(b"/"):
        return _origin(httpx.URL(url.target.decode("ascii")))
    scheme = url.scheme.decode("ascii")
    return scheme, url.host.decode("ascii"), url.port or _PORTS.get(scheme)


class SidecarAuth(httpx.Auth):
    """Adds the sidecar's current token to each request. After a 401, reports the token and retries once with the next.

    A 401 is returned when there is no other token, or when the retry gets a 401, too. The request's body is read into
    memory, so that it can be sent twice. Calls to the sidecar are direct: they do not use the client's proxies, hooks,
    redirects and history. Use it only for the partner.

    The token is sent only to the origin (scheme, host and port) of the request. If the client follows a redirect to
    another origin, that request has no token, and a 401 to it is neither reported nor retried. Headers that are listed,
    copied or printed do not contain the token.

    Each step of a call to the sidecar may take as long as the request's own `timeout`, and at most `timeout_s` seconds.
    Requests raise `TokenUnavailableError` when the sidecar has no token, `httpx.TransportError` when no sidecar
    responds.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        profile: str = "",
        caller_token: str = "",
        caller_token_file: str | PathLike[str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        """Takes the arguments of `SidecarRequests`. Raises `ValueError`."""
        self._requests = SidecarRequests(url, profile, caller_token, caller_token_file, timeout_s)

    def __repr__(self) -> str:
        return f"SidecarAuth({self._requests!r})"

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.read()
        limits = self._limits(request)
        token = OriginToken(request, asynchronous=False)
        sent = token.put(request, self._header(limits))
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED or not token.is_at_origin(response):
            return
        status, _, body = self._send(self._requests.rejected(sent), limits)
        check_reported(status, body)
        current = self._header(limits)
        if current != sent:
            # The request that got the 401: after a redirect this is not the first request.
            token.put(response.request, current)
            yield response.request

    async def async_auth_flow(self, request: httpx.Request) -> AsyncGenerator[httpx.Request, httpx.Response]:
        await request.aread()
        limits = self._limits(request)
        token = OriginToken(request, asynchronous=True)
        sent = token.put(request, await self._header_async(limits))
        response = yield request
        if response.status_code != httpx.codes.UNAUTHORIZED or not token.is_at_origin(response):
            return
        status, _, body = await self._send_async(self._requests.rejected(sent), limits)
        check_reported(status, body)
        current = await self._header_async(limits)
        if current != sent:
            token.put(response.request, current)
            yield response.request

    def _limits(self, request: httpx.Request) -> _Limits:
        """Return the time limit of each step of a request to the sidecar: the app's own limit, at most `timeout_s`."""
        theirs: Mapping[str, Any] = request.extensions.get("timeout", {})
        ours_s = self._requests.timeout_s
        steps = ("connect", "read", "write", "pool")
        return {step: ours_s if (limit := theirs.get(step)) is None else min(limit, ours_s) for step in steps}

    def _header(self, limits: _Limits) -> PartnerHeader:
        return partner_header(*self._send(self._requests.header(), limits))

    async def _header_async(self, limits: _Limits) -> PartnerHeader:
        return partner_header(*await self._send_async(self._requests.header(), limits))

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
