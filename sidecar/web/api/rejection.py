"""`POST /v1/token/rejected`: an app reports that the partner rejected a token."""

from __future__ import annotations

import re
from typing import ClassVar

import msgspec

from sidecar.core.model import Secret, token_id_of
from sidecar.core.process_events import Endpoint
from sidecar.vending.api import Report, TokenProvider
from sidecar.web.api.guards import RequiredAuth
from sidecar.web.api.request_reading import path_and_query, read_body, refuse_query
from sidecar.web.responses import JSON, EndpointResult, RequestError, Response, json_response, whole_seconds
from sidecar.web.server.request_handler import HttpRequest

MAX_REPORT_BYTES = 20 * 1024
"""The longest possible token has 16 KiB; the rest is for the JSON around it."""
_TOKEN_ID = re.compile(r"[0-9a-f]{32}")


class _ReportBody(msgspec.Struct, rename="camel"):
    token_id: str | None = None
    access_token: str | None = None

    def __repr__(self) -> str:  # msgspec's own would show the access token
        return "_ReportBody(***)"


class RejectedEndpoint:
    """Accepts rejection reports for one profile."""

    endpoint: ClassVar[Endpoint] = "rejected"
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    auth: ClassVar[RequiredAuth] = RequiredAuth.HEADER

    def __init__(self, vendor: TokenProvider) -> None:
        self._vendor = vendor
        self.profile = vendor.profile.name

    async def __call__(self, request: HttpRequest) -> EndpointResult:
        refuse_query(path_and_query(request)[1])
        token_id = _reported_id(await read_body(request, JSON, MAX_REPORT_BYTES))
        report = await self._vendor.report(token_id)
        known_id = token_id if report.known else ""
        return EndpointResult(code="ok", response=_verdict(report), token_id=known_id, outcome=report.verdict)


def _verdict(report: Report) -> Response:
    document: dict[str, object] = {"verdict": report.verdict}
    if report.retry_after_s is None:
        return json_response(202, document)
    wait_s = whole_seconds(report.retry_after_s)
    return json_response(202, document | {"retryAfter": wait_s}, headers={"Retry-After": str(wait_s)})


def _reported_id(body: bytes) -> str:
    """Return the reported token's id. Raises `RequestError` when the body does not name exactly one token."""
    try:
        parsed = msgspec.json.decode(body, type=_ReportBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _unclear() from None
    named = [text for text in (parsed.token_id, parsed.access_token) if text]
    if len(named) != 1:
        raise _unclear()
    # A text that is no id is taken for a token, also in the wrong field: no log gets it, and the report still counts.
    if parsed.token_id and _TOKEN_ID.fullmatch(parsed.token_id):
        return parsed.token_id
    return token_id_of(Secret(named[0]))


def _unclear() -> RequestError:
    return RequestError("bad-request", 'Send JSON, either {"tokenId": "..."} or {"accessToken": "..."}.')
