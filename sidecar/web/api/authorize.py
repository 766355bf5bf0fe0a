"""`/v1/authorize`: the header the partner expects, for a proxy that copies it onto the request it forwards."""

from __future__ import annotations

from typing import ClassVar

from aiohttp.web_request import BaseRequest

from sidecar.core.request_events import Endpoint
from sidecar.vending.api import TokenProvider, VendedToken
from sidecar.web.api.guards import RequiredAuth, is_forwarded
from sidecar.web.api.negotiation import seconds_of
from sidecar.web.api.target import path_and_query
from sidecar.web.api.token import SUSPECT, current_or_wait, with_token
from sidecar.web.refusals import ANY_METHOD
from sidecar.web.responses import EndpointResult, Response, make_response


class AuthorizeEndpoint:
    """Returns 200, an empty body and the token in `token_header`.

    Every method is accepted, because Envoy repeats the client's. The status is 200: Envoy treats any other status as a
    denial, and passes the denial with its headers to the client. So no other response has the token's header.
    """

    endpoint: ClassVar[Endpoint] = "authorize"
    methods: ClassVar[tuple[str, ...]] = ANY_METHOD
    proof: ClassVar[RequiredAuth] = RequiredAuth.PROXY

    def __init__(self, vendor: TokenProvider, token_header: str, *, reads_query: bool = True) -> None:
        """`reads_query` is False where the proxy appends path and query of its client's request to ours."""
        self._vendor = vendor
        self._token_header = token_header
        self._reads_query = reads_query
        self.profile = vendor.profile.name

    async def __call__(self, request: BaseRequest) -> EndpointResult:
        query = path_and_query(request)[1] if self._reads_query else ""
        # Caddy appends its client's query to the configured path, and that client must not set our parameters.
        (min_ttl_s,) = seconds_of(query, "min_ttl") if query and not is_forwarded(request) else (0,)
        vended = await current_or_wait(self._vendor, min_ttl_s)
        answered = with_token(vended, self._header)
        if request.body_exists:
            # A proxy or parser that measures the body differently would take an unread body for the next request.
            answered.response.closes = True
        return answered

    def _header(self, vended: VendedToken) -> Response:
        headers = {self._token_header: f"Bearer {vended.token.access.reveal()}"}
        return make_response(200, headers=headers | SUSPECT if vended.suspect else headers)
