"""The endpoints of one profile: its token, the token as a header for proxies, and reports of rejected tokens."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import ClassVar

import msgspec

from sidecar.core.model import Seconds, Secret, token_id_of
from sidecar.core.partner_table import TokenHeader
from sidecar.core.process_events import Endpoint
from sidecar.core.timestamps import iso
from sidecar.vending.api import Report, TokenProvider, VendedToken
from sidecar.web.api.guards import RequiredAuth, is_forwarded
from sidecar.web.api.request_reading import (
    none_match,
    path_and_query,
    prefers_text,
    read_body,
    refuse_query,
    seconds_of,
)
from sidecar.web.responses import (
    ANY_METHOD,
    JSON,
    TEXT,
    EndpointResult,
    RequestError,
    Response,
    json_response,
    make_response,
    whole_seconds,
)
from sidecar.web.server.request_handler import HttpRequest

MAX_WAIT_S: Seconds = 60
SUSPECT = {"Token-Suspect": "true"}
MAX_REPORT_BYTES = 20 * 1024
"""The longest possible token has 16 KiB; the rest is for the JSON around it."""
_TOKEN_ID = re.compile(r"[0-9a-f]{32}")


class TokenEndpoint:
    """`GET /v1/token`: the token as JSON or plain text, conditional and long-polled."""

    endpoint: ClassVar[Endpoint] = "token"
    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")
    auth: ClassVar[RequiredAuth] = RequiredAuth.HEADER

    # With slots there is no `__dict__`, which would show the token in `vars`.
    __slots__ = ("_provider", "_written", "profile")

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider
        self.profile = provider.profile.name
        self._written: tuple[VendedToken, bytes] | None = None
        """The latest document: all callers within one second get the same."""

    async def __call__(self, request: HttpRequest) -> EndpointResult:
        min_ttl_s, wait_s = seconds_of(path_and_query(request)[1], "min_ttl", "wait")
        vended = await current_or_wait(self._provider, min_ttl_s)
        known = request.headers.getall("If-None-Match", [])
        if known and none_match(known, vended.token.token_id):
            if not wait_s or not await self._changed(request, vended, min(wait_s, MAX_WAIT_S)):
                return EndpointResult(code="not-modified", response=make_response(304, headers=_headers(vended)))
            vended = await current_or_wait(self._provider, min_ttl_s)
        render = self._text if prefers_text(tuple(request.headers.getall("Accept", ()))) else self._json
        if request.method == "HEAD":
            # Only the headers are sent, and so no token.
            return EndpointResult(code="ok", response=render(vended))
        return with_token(vended, render)

    async def _changed(self, request: HttpRequest, vended: VendedToken, wait_s: Seconds) -> bool:
        """As `TokenProvider.changed`; also False when the connection's slot is needed."""
        try:
            async with request.connection.polling():
                return await self._provider.changed(vended.token.token_id, wait_s)
        except TimeoutError:
            return False

    def _json(self, vended: VendedToken) -> Response:
        if self._written is None or self._written[0] is not vended:
            self._written = vended, msgspec.json.encode(_document(self.profile, vended))
        return make_response(200, self._written[1], headers=_headers(vended))

    def _text(self, vended: VendedToken) -> Response:
        return make_response(200, vended.token.access.reveal().encode(), content_type=TEXT, headers=_headers(vended))


async def current_or_wait(provider: TokenProvider, min_ttl_s: Seconds = 0) -> VendedToken:
    """Return the token in process memory if it lives `min_ttl_s` or longer; else do what `TokenProvider.vend` does."""
    vended = provider.current()
    if vended is not None and vended.expires_in_s >= min_ttl_s:
        return vended
    return await provider.vend(min_ttl_s)


def with_token(vended: VendedToken, render: Callable[[VendedToken], Response], profile: str = "") -> EndpointResult:
    """Return the response that `render` makes with this token, with the facts for audit and fast path."""
    return EndpointResult(
        code="ok",
        response=render(vended),
        profile=profile,
        token_id=vended.token.token_id,
        outcome="suspect" if vended.suspect else "ok",
        vended=vended,
        render=render,
    )


def _headers(vended: VendedToken) -> dict[str, str]:
    tag = {"ETag": f'"{vended.token.token_id}"'}
    return tag | SUSPECT if vended.suspect else tag


def _document(profile: str, vended: VendedToken) -> dict[str, object]:
    token = vended.token
    document: dict[str, object] = {
        "profile": profile,
        "role": token.role,
        "tokenType": "Bearer",
        "accessToken": token.access.reveal(),
        "tokenId": token.token_id,
        "issuedAt": iso(vended.issued_at),
        "expiresAt": iso(vended.expires_at),
        "expiresIn": vended.expires_in_s,
        "lifetime": token.lifetime,
    }
    if vended.suspect:
        document["suspect"] = True
    return document


class AuthorizeEndpoint:
    """`/v1/authorize`: 200, an empty body and the token in `token_header`, for a proxy that adds it to a request.

    Every method is accepted, because Envoy repeats the client's. The status is 200: Envoy treats any other status as a
    denial, and passes the denial with its headers to the client. So no other response has the token's header.
    """

    endpoint: ClassVar[Endpoint] = "authorize"
    methods: ClassVar[tuple[str, ...]] = ANY_METHOD
    auth: ClassVar[RequiredAuth] = RequiredAuth.PROXY

    def __init__(self, provider: TokenProvider, token_header: TokenHeader, *, reads_query: bool = True) -> None:
        """`reads_query` is False where the proxy appends path and query of its client's request to ours."""
        self._provider = provider
        self._token_header = token_header
        self._reads_query = reads_query
        self.profile = provider.profile.name

    async def __call__(self, request: HttpRequest) -> EndpointResult:
        query = path_and_query(request)[1] if self._reads_query else ""
        # Caddy appends its client's query to the configured path, and that client must not set our parameters.
        (min_ttl_s,) = seconds_of(query, "min_ttl") if query and not is_forwarded(request) else (0,)
        vended = await current_or_wait(self._provider, min_ttl_s)
        result = with_token(vended, self._header)
        if request.body_exists:
            # A proxy or parser that measures the body differently would take an unread body for the next request.
            result.response.closes = True
        return result

    def _header(self, vended: VendedToken) -> Response:
        header = self._token_header
        headers = {header.name: header.value(vended.token.access), **header.naming}
        return make_response(200, headers=headers | SUSPECT if vended.suspect else headers)


class _ReportBody(msgspec.Struct, rename="camel"):
    token_id: str | None = None
    access_token: str | None = None

    def __repr__(self) -> str:  # msgspec's own would show the access token
        return "_ReportBody(***)"


class RejectedEndpoint:
    """`POST /v1/token/rejected`: an app reports that the partner rejected a token."""

    endpoint: ClassVar[Endpoint] = "rejected"
    methods: ClassVar[tuple[str, ...]] = ("POST",)
    auth: ClassVar[RequiredAuth] = RequiredAuth.HEADER

    def __init__(self, provider: TokenProvider) -> None:
        self._provider = provider
        self.profile = provider.profile.name

    async def __call__(self, request: HttpRequest) -> EndpointResult:
        refuse_query(request)
        token_id = _reported_id(await read_body(request, JSON, MAX_REPORT_BYTES))
        report = await self._provider.report(token_id)
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
