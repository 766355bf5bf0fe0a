"""The vending API: guards, routes, and one event for each response."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp.http import HttpVersion11

from sidecar.core.errors import AnswerError
from sidecar.core.model import MonotonicTime
from sidecar.core.ports import Clock, EventSink
from sidecar.core.process_events import Audited, RequestRefused, RequestServed
from sidecar.core.trace_context import TraceContext, trace_context
from sidecar.credentials.caller_token import CallerTokens
from sidecar.vending.api import TokenProvider
from sidecar.web.api.guards import Guards
from sidecar.web.api.request_reading import path_and_query
from sidecar.web.api.routing import Route, Routes
from sidecar.web.responses import (
    EndpointResult,
    RequestError,
    Response,
    check_method_and_body,
    error_result,
)
from sidecar.web.server.fast_path import FastPath
from sidecar.web.server.request_handler import HttpRequest

_NOT_LET_IN = (401, 403)
"""The statuses of the guards and of OAuth client authentication. No other code returns them."""


class TokenApi:
    """The handler of the vending listener.

    `token_headers` has, for each profile, the header in which the partner expects the token. `audit`, if set, gets an
    event for every token in a response and for every rejection report.
    """

    def __init__(
        self,
        vendors: Mapping[str, TokenProvider],
        guards: Guards,
        sink: EventSink,
        clock: Clock,
        token_headers: Mapping[str, str],
        audit: EventSink | None = None,
        fast_path: FastPath | None = None,
    ) -> None:
        self._vendors = vendors
        self._routes = Routes(vendors, guards, token_headers)
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
                self._vendors[route.profile],
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
