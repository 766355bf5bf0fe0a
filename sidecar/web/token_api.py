"""The vending API: guards, the table of paths, and one record of each answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from aiohttp.http import HttpVersion11
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response, StreamResponse

from sidecar.core.errors import AnswerError
from sidecar.core.model import Moment
from sidecar.core.ports import Clock, EventSink
from sidecar.core.request_events import Audited, RequestRefused, RequestServed
from sidecar.core.trace_context import TraceContext, trace_context
from sidecar.vending.vendor import Vended, Vendor
from sidecar.web.answers import Answered
from sidecar.web.connection import Connection
from sidecar.web.guards import Guards
from sidecar.web.peer import caller_name
from sidecar.web.problems import INTERNAL_ERROR, refused
from sidecar.web.refusals import RefusedError, check_form
from sidecar.web.routes import Route, Routes
from sidecar.web.target import path_and_query
from sidecar.web.warm import WarmAnswers

_NOT_LET_IN = (401, 403)
"""What the guards and the authentication of OAuth clients answer, and nobody else."""


class TokenApi:
    """The handler of the vending listener.

    `token_headers` names, for each profile, the header in which the partner expects the token. `audit`, where there is
    one, is told of every token that is handed over and of every report.
    """

    def __init__(
        self,
        vendors: Mapping[str, Vendor],
        guards: Guards,
        sink: EventSink,
        clock: Clock,
        token_headers: Mapping[str, str],
        audit: EventSink | None = None,
        warm: WarmAnswers | None = None,
    ) -> None:
        self._vendors = vendors
        self._routes = Routes(vendors, guards, token_headers)
        self._guards = guards
        self._sink = sink
        self._clock = clock
        self._audit = audit
        self._warm = warm

    async def __call__(self, request: BaseRequest) -> StreamResponse:
        started = self._clock.monotonic()
        trace = trace_context(request.headers.getall("traceparent", ()))
        route = self._routes.find(path_and_query(request)[0])
        try:
            answered = await self._answer(request, route)
        except Exception:
            # The connection answers and tells about the bug; here it is only counted.
            self._record(route, INTERNAL_ERROR, route.profile, started, trace)
            raise
        profile = answered.profile or route.profile
        self._record(route, answered.code, profile, started, trace)
        if answered.response.status in _NOT_LET_IN:
            self._sink.emit(RequestRefused(code=answered.code, trace=trace))
        if self._audit is not None and answered.outcome is not None and route.endpoint is not None:
            self._audit.emit(
                Audited(
                    profile=profile,
                    endpoint=route.endpoint,
                    caller=caller_name(request),
                    token_id=answered.token_id,
                    outcome=answered.outcome,
                    trace=trace,
                )
            )
        if self._warm is not None and answered.vended is not None and not answered.vended.suspect:
            self._learn(self._warm, request, route, answered.response, answered.vended)
        return answered.response

    def _learn(self, warm: WarmAnswers, request: BaseRequest, route: Route, response: Response, vended: Vended) -> None:
        """What was asked plainly, and was answered from memory, will be answered so again."""
        asked = cast("Connection", request.protocol).asked
        plain = request.method == "GET" and request.version == HttpVersion11 and "?" not in request.raw_path
        plain = plain and self._guards.serves_anywhere(request, route.proof)
        if asked is not None and plain and route.endpoint is not None:
            vendor, closes = self._vendors[route.profile], not request.keep_alive
            warm.learn(asked, response, vended, vendor, route.endpoint, closes=closes)

    async def _answer(self, request: BaseRequest, route: Route) -> Answered:
        try:
            self._guards.check(request, route.proof)
            if route.methods:
                check_form(request, route.methods)
            return await route(request)
        except (RefusedError, AnswerError) as error:
            return refused(error)

    def _record(self, route: Route, code: str, profile: str, started: Moment, trace: TraceContext | None) -> None:
        if route.endpoint is None:
            return
        duration_s = self._clock.monotonic() - started
        self._sink.emit(
            RequestServed(profile=profile, endpoint=route.endpoint, code=code, duration_s=duration_s, trace=trace)
        )
