"""Limits the token of an httpx request to one origin: the scheme, host and port that the app requested.

An `httpx.Auth` handles a request and its redirects as one. httpx makes the request of a redirect from a copy of the
headers, without `Authorization`, and with the same extensions. So no copy of the headers has the token, and the
extension `trace` adds it to each request to the origin: also after a redirect, and where instrumentation has replaced
the headers by a copy. A transport without support for `trace` sends the token only with the first request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import httpx

from sidecar.client.questions import PartnerHeader

_Info: TypeAlias = dict[str, Any]
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


_Origin: TypeAlias = tuple[str, str, int | None]


def _origin(url: httpx.URL) -> _Origin:
    return url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme)


def _destination(url: Any) -> _Origin:  # noqa: ANN401 - httpcore's URL; httpx alone is what this package needs
    """Return the final destination of a request. With a proxy the URL is the proxy's; its target is the destination."""
    if not url.target.startswith(b"/"):
        return _origin(httpx.URL(url.target.decode("ascii")))
    scheme = url.scheme.decode("ascii")
    return scheme, url.host.decode("ascii"), url.port or _PORTS.get(scheme)
