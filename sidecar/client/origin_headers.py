"""Adds token and signature to requests of httpx, and only to those that go to the origin that the app requested.

An origin is scheme, host and port. An `httpx.Auth` handles a request and its redirects as one. httpx makes the request
of a redirect from a copy of the headers, without `Authorization`, and with the same extensions. So no copy of the
headers has the token, and the extension `trace` adds it to each request to the origin: also after a redirect, and where
instrumentation has replaced the headers by a copy. The signature is added where a redirect keeps the method: there it
keeps the body, too. A transport without support for `trace` sends token and signature only with the first request.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

import httpx

from sidecar.client.requests import PartnerHeader, PartnerHeaders

_Info: TypeAlias = dict[str, Any]
_Origin: TypeAlias = tuple[str, str, int | None]
_PORTS = {"http": 80, "https": 443}


class OriginHeaders:
    """Adds the partner's headers to a request, for its own origin; `asynchronous`: if its transport awaits `trace`."""

    def __init__(self, request: httpx.Request, *, asynchronous: bool) -> None:
        self._origin = _origin(request.url)
        self._asynchronous = asynchronous
        self._app_trace = request.extensions.get("trace")

    def put(self, request: httpx.Request, headers: PartnerHeaders) -> PartnerHeaders:
        """Set these headers on the request, and replace any of the same names."""
        request.headers = _HiddenHeaders(request.headers, headers)
        method = request.method.encode("ascii")
        trace = self._async_trace(method, headers) if self._asynchronous else self._trace(method, headers)
        request.extensions = {**request.extensions, "trace": trace}
        return headers

    def is_at_origin(self, response: httpx.Response) -> bool:
        """Return whether the response belongs to a request with the token."""
        return _origin(response.request.url) == self._origin

    def _trace(self, method: bytes, headers: PartnerHeaders) -> Callable[[str, _Info], None]:
        def trace(event: str, info: _Info) -> None:
            self._add(event, info, method, headers)
            if self._app_trace is not None:
                self._app_trace(event, info)

        return trace

    def _async_trace(self, method: bytes, headers: PartnerHeaders) -> Callable[[str, _Info], Awaitable[None]]:
        async def trace(event: str, info: _Info) -> None:
            self._add(event, info, method, headers)
            if self._app_trace is not None:
                await self._app_trace(event, info)

        return trace

    def _add(self, event: str, info: Mapping[str, Any], method: bytes, headers: PartnerHeaders) -> None:
        if not event.endswith(".send_request_headers.started"):
            return
        # A request of httpcore; this may be the CONNECT to a proxy.
        request = info["request"]
        if request.method == b"CONNECT" or _destination(request.url) != self._origin:
            return
        added = [_raw(header) for header in (headers if request.method == method else (headers.token,))]
        names = {name.lower() for name, _ in added}
        request.headers = [*(known for known in request.headers if known[0].lower() not in names), *added]


class _HiddenHeaders(httpx.Headers):
    """Headers of which the partner's are sent and can be read by name. Copies, listings and `repr` are without them."""

    def __init__(self, headers: httpx.Headers, hidden: PartnerHeaders) -> None:
        without = httpx.Headers(headers)
        for header in hidden:
            without.pop(header.name, None)
        super().__init__(without)
        self._hidden = {header.name.lower(): header for header in hidden}

    @property
    def raw(self) -> list[tuple[bytes, bytes]]:
        return [*super().raw, *(_raw(header) for header in self._hidden.values())]

    def __getitem__(self, key: str) -> str:
        hidden = self._hidden.get(key.lower())
        return super().__getitem__(key) if hidden is None else hidden.value

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and (key.lower() in self._hidden or super().__contains__(key))


def _raw(header: PartnerHeader) -> tuple[bytes, bytes]:
    return header.name.encode("ascii"), header.value.encode("ascii")


def _origin(url: httpx.URL) -> _Origin:
    return url.scheme, url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme)


def _destination(url: Any) -> _Origin:  # noqa: ANN401 - httpcore's URL; httpx alone is what this package needs
    """Return the final destination of a request. With a proxy the URL is the proxy's; its target is the destination."""
    if not url.target.startswith(b"/"):
        return _origin(httpx.URL(url.target.decode("ascii")))
    scheme = url.scheme.decode("ascii")
    return scheme, url.host.decode("ascii"), url.port or _PORTS.get(scheme)
