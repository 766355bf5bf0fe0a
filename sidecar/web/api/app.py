"""The vending API: runs the guards, finds the route, and emits one event for each response."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol

from aiohttp.http import HttpVersion11

from sidecar.core.errors import AnswerError, UnknownProfileError
from sidecar.core.model import MonotonicTime
from sidecar.core.partner_table import TokenHeader
from sidecar.core.ports import Clock, EventSink
from sidecar.core.process_events import Audited, Endpoint, RequestRefused, RequestServed
from sidecar.core.trace_context import TraceContext, trace_context
from sidecar.credentials.caller_token import CallerTokens
from sidecar.vending.api import TokenProvider
from sidecar.vending.signer import Signer
from sidecar.web.api.guards import Guards, RequiredAuth
from sidecar.web.api.oauth import OAuthEndpoint
from sidecar.web.api.openapi import OpenApiEndpoint
from sidecar.web.api.request_reading import BodyMemory, path_and_query
from sidecar.web.api.sign import TOTAL_BYTES, SignEndpoint
from sidecar.web.api.token import AuthorizeEndpoint, RejectedEndpoint, TokenEndpoint
from sidecar.web.responses import (
    ANY_METHOD,
    EndpointResult,
    RequestError,
    Response,
    check_method_and_body,
    error_result,
    missing_default,
)
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.request_handler import HttpRequest

_NOT_LET_IN = (401, 403)
"""The statuses of the guards and of OAuth client authentication. No other code returns them."""
_OF_A_PROFILE = re.compile(r"/v1/(?P<endpoint>token|authorize|sign)(?:/(?P<profile>[^/]+?))??(?P<rejected>/rejected)?")
_APPENDED = re.compile(r"(?P<path>/v1/authorize/[^/]+)/.*", re.DOTALL)
"""A path of ours with the client's path appended, as Envoy's `path_prefix` does."""
_ENDPOINTS: Mapping[str, type[TokenEndpoint | AuthorizeEndpoint | RejectedEndpoint | SignEndpoint]] = {
    "token": TokenEndpoint, "authorize": AuthorizeEndpoint, "rejected": RejectedEndpoint, "sign": SignEndpoint,
}  # fmt: skip


class Route(Protocol):
    """The endpoint of one path."""

    @property
    def endpoint(self) -> Endpoint | None:
        """None: its requests are not counted."""

    @property
    def methods(self) -> tuple[str, ...]: ...
    @property
    def auth(self) -> RequiredAuth: ...
    @property
    def profile(self) -> str: ...

    async def __call__(self, request: HttpRequest, /) -> EndpointResult: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _NotFound:
    """An unknown path or profile; the guards and the method are checked all the same."""

    error: RequestError | UnknownProfileError
    endpoint: Endpoint | None = None
    methods: tuple[str, ...] = ANY_METHOD
    auth: RequiredAuth = RequiredAuth.HEADER
    profile: str = ""

    async def __call__(self, _request: HttpRequest) -> EndpointResult:
        # Not raised: the error exists as long as the process, and each raise would make its traceback longer.
        return error_result(self.error)


_NO_SUCH_PATH = _NotFound(error=RequestError("not-found", "See /openapi.json for the list of paths."))


class Routes:
    """Finds the endpoint of a path, which without a profile name is for the profile `default`.

    Paths are compared by their raw bytes: without unquoting or normalising, no spelling passes a check.
    """

    def __init__(
        self,
        providers: Mapping[str, TokenProvider],
        guards: Guards,
        token_headers: Mapping[str, TokenHeader],
        signers: Mapping[str, Signer],
        sign_max_bytes: int,
    ) -> None:
        self._profiles = tuple(providers)
        self._routes: dict[str, Route] = {
            "/oauth/token": OAuthEndpoint(providers, guards),
            "/openapi.json": OpenApiEndpoint(),
        }
        self._appended: dict[str, Route] = {}
        memory = BodyMemory(sign_max_bytes, TOTAL_BYTES)
        for name, provider in providers.items():
            token, rejected, header = TokenEndpoint(provider), RejectedEndpoint(provider), token_headers[name]
            authorize = AuthorizeEndpoint(provider, header)
            sign = SignEndpoint(provider, signers.get(name), header, memory)
            for suffix in (f"/{name}", "") if name == "default" else (f"/{name}",):
                self._routes[f"/v1/token{suffix}"] = token
                self._routes[f"/v1/token{suffix}/rejected"] = rejected
                self._routes[f"/v1/authorize{suffix}"] = authorize
                self._routes[f"/v1/sign{suffix}"] = sign
            if guards.serve_proxies:
                self._appended[f"/v1/authorize/{name}"] = AuthorizeEndpoint(provider, header, reads_query=False)

    def find(self, path: str) -> Route:
        return self._routes.get(path) or self._find_appended(path) or _not_found(path, self._profiles)

    def _find_appended(self, path: str) -> Route | None:
        form = _APPENDED.fullmatch(path) if self._appended else None
        return None if form is None else self._appended.get(form["path"])


def _not_found(path: str, profiles: Iterable[str]) -> Route:
    form = _OF_A_PROFILE.fullmatch(path)
    if form is None or (form["rejected"] and form["endpoint"] != "token"):
        return _NO_SUCH_PATH
    text = missing_default(profiles) if form["profile"] is None else "No profile has this name."
    found = _ENDPOINTS["rejected" if form["rejected"] else form["endpoint"]]
    return _NotFound(error=UnknownProfileError(text), endpoint=found.endpoint, methods=found.methods, auth=found.auth)


class TokenApi:
    """The handler of the vending listener.

    `token_headers` has, for each profile, the header in which the partner expects the token. A profile without a
    signer has no signing key. `audit`, if set, gets an event for every token or signature in a response and for every
    rejection report.
    """

    def __init__(
        self,
        providers: Mapping[str, TokenProvider],
        guards: Guards,
        sink: EventSink,
        clock: Clock,
        token_headers: Mapping[str, TokenHeader],
        *,
        signers: Mapping[str, Signer] = MappingProxyType({}),
        sign_max_bytes: int = 1 << 20,
        audit: EventSink | None = None,
        fast_path: FastPath | None = None,
    ) -> None:
        self._providers = providers
        self._routes = Routes(providers, guards, token_headers, signers, sign_max_bytes)
        self._guards = guards
        self._sink = sink
        self._clock = clock
        self._audit = audit
        self._fast_path = fast_path

    async def __call__(self, request: HttpRequest) -> Response:
        started = self._clock.monotonic()
        trace = trace_context(request.headers.getall("traceparent", ()))
        route = self._routes.find(path_and_query(request)[0])
        # Read here, so that the fast path stores the version of the tokens that the guards check.
        caller_tokens = self._guards.caller_tokens
        try:
            result = await self._respond(request, route)
        except Exception:
            # `ConnectionHandler` answers the request and reports the bug. Here the request is only counted.
            self._record(route, "internal-error", route.profile, started, trace)
            raise
        profile = result.profile or route.profile
        self._record(route, result.code, profile, started, trace)
        if result.response.status in _NOT_LET_IN:
            self._sink.emit(RequestRefused(code=result.code, trace=trace))
        if self._audit is not None and result.outcome is not None and route.endpoint is not None:
            self._audit.emit(
                Audited(
                    profile=profile,
                    endpoint=route.endpoint,
                    caller=request.connection.caller,
                    token_id=result.token_id,
                    outcome=result.outcome,
                    trace=trace,
                )
            )
        if self._fast_path is not None:
            self._add_to_fast_path(self._fast_path, request, route, result, caller_tokens)
        return result.response

    def _add_to_fast_path(
        self,
        fast_path: FastPath,
        request: HttpRequest,
        route: Route,
        result: EndpointResult,
        caller_tokens: CallerTokens | None,
    ) -> None:
        """Add a plain GET that got a token to the fast path, so that the next one is result there."""
        connection, vended = request.connection, result.vended
        if connection.fast_key is None or vended is None or vended.suspect or result.render is None:
            return
        plain = request.method == "GET" and request.version == HttpVersion11 and "?" not in request.raw_path
        if plain and "If-None-Match" not in request.headers and route.endpoint is not None:
            fast_path.add(
                connection.fast_key,
                result.render,
                self._providers[route.profile],
                route.endpoint,
                caller_tokens=caller_tokens,
                closes=connection.ends,
            )

    async def _respond(self, request: HttpRequest, route: Route) -> EndpointResult:
        try:
            self._guards.check(request, route.auth)
            if route.methods:
                check_method_and_body(request, route.methods)
            return await route(request)
        except (RequestError, AnswerError) as error:
            return error_result(error)

    def _record(
        self, route: Route, code: str, profile: str, started: MonotonicTime, trace: TraceContext | None
    ) -> None:
        if route.endpoint is None:
            return
        duration_s = self._clock.monotonic() - started
        self._sink.emit(
            RequestServed(profile=profile, endpoint=route.endpoint, code=code, duration_s=duration_s, trace=trace)
        )
