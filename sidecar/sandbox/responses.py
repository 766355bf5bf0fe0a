"""The documented responses and errors of the partner, and what the faults do to them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import cast

from aiohttp import web

from sidecar.core.model import Seconds
from sidecar.core.partner_table import PartnerTable
from sidecar.sandbox.account import Account, Issued
from sidecar.sandbox.faults import Fault, FaultName
from sidecar.sandbox.state import SandboxState

_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("SANDBOX-BAD-REQUEST", "The request body is not what this endpoint takes"),
    401: ("SANDBOX-UNAUTHORIZED", "Wrong role, or wrong key and secret"),
    403: ("SANDBOX-FORBIDDEN", "Key and secret lack the permission"),
    404: ("SANDBOX-NOT-FOUND", "No such endpoint"),
    405: ("SANDBOX-NOT-ALLOWED", "Wrong method or wrong Content-Type"),
    429: ("SANDBOX-TOO-MANY", "Too many requests"),
}
_OAUTH2_ERRORS: Mapping[int, str] = {401: "invalid_client", 403: "unauthorized_client", 429: "temporarily_unavailable"}
_OTHER_ERROR = ("SANDBOX-ERROR", "Something went wrong")


def token_response(
    table: PartnerTable,
    issued: Issued,
    role: str,
    left_s: Seconds | None = None,
    extra: Mapping[str, object] | None = None,
) -> web.Response:
    """Return the tokens in the table's fields. `left_s`: the declared lifetime. `extra` fields are added."""
    document: dict[str, object] = {}
    if table.role_field:
        document[table.role_field] = role
    if table.oauth2:
        document["token_type"] = "Bearer"  # noqa: S105 - the name of a type
    _put(document, table.access_field, issued.access)
    if table.refresh_field:
        _put(document, table.refresh_field, issued.refresh)
    if left_s is not None:
        _put(document, table.expires_field or "expiresIn", left_s)
    return web.json_response({**document, **(extra or {})}, status=table.success_status)


def _put(document: dict[str, object], path: str, value: object) -> None:
    """Set a value at a path of names joined by dots."""
    *outer, last = path.split(".")
    for name in outer:
        document = cast("dict[str, object]", document.setdefault(name, {}))
    document[last] = value


def token_error(table: PartnerTable, status: int, session_id: str, retry_after: str | None = None) -> web.Response:
    """Return an error of a token call, for OAuth 2.0 in the form of RFC 6749 section 5.2."""
    if not table.oauth2:
        return error_response(status, session_id, retry_after)
    return _oauth2_error(status, _OAUTH2_ERRORS.get(status, "invalid_request"), retry_after)


def refresh_token_error(table: PartnerTable, session_id: str) -> web.Response:
    """Return the error for a refresh token that is not valid, while key and secret are."""
    return _oauth2_error(400, "invalid_grant") if table.oauth2 else error_response(401, session_id)


def _oauth2_error(status: int, code: str, retry_after: str | None = None) -> web.Response:
    document = {"error": code, "error_description": _ERRORS[status][1]}
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return web.json_response(document, status=status, headers=headers)


def error_response(
    status: int, session_id: str, retry_after: str | None = None, problem: tuple[str, str] | None = None
) -> web.Response:
    """Return an error in the documented form, which all endpoints share. `problem`: its code and message."""
    code, message = problem or _ERRORS.get(status, _OTHER_ERROR)
    document = {"errorMessage": message, "errorCode": code, "sessionId": session_id}
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return web.json_response(document, status=status, headers=headers)


@dataclass(frozen=True, slots=True)
class TokenFaults:
    """What the faults of a token call need."""

    table: PartnerTable
    account: Account


class NoResponseError(Exception):
    """The connection is reset instead of a response."""


class _CutOffResponse(web.Response):
    """Half of a response: its head promises the whole body, and the connection ends before that."""

    def __init__(self, whole: web.Response, request: web.Request) -> None:
        super().__init__(status=whole.status, body=whole.body, content_type=whole.content_type)
        self._transport = request.transport

    async def write_eof(self, data: bytes = b"") -> None:  # noqa: ARG002 - as aiohttp calls it
        if isinstance(self.body, bytes):
            await self.write(_half(self.body))
        if self._transport is not None:
            self._transport.close()


async def faulty_response(
    fault: Fault,
    state: SandboxState,
    token_call: TokenFaults | None,
    request: web.Request,
    handler: Callable[[web.Request], Awaitable[web.StreamResponse]],
) -> web.StreamResponse:
    """Return the response that the fault makes of the handler's. Raises `NoResponseError`.

    `token_call` is set for a token call, for the faults that only apply there.
    """
    await state.clock.sleep(fault.latency_s)
    response = await handler(request) if fault.processed or fault.fault in _PROCESSED else None
    if fault.fault == "hang":
        await state.stopping.wait()
    if fault.fault in ("hang", "reset"):
        raise NoResponseError
    if response is not None and fault.fault in _PROCESSED:
        return _changed(fault.fault, request, response)
    if token_call is not None and fault.fault in _TOKEN_RESPONSES:
        return _TOKEN_RESPONSES[fault.fault](fault, token_call, state.config.role)
    return _RESPONSES[fault.fault](fault)


_PROCESSED: AbstractSet[FaultName] = frozenset({"slow", "lost-reply", "truncated", "cut-off"})
"""The faults that need the real response."""


def _changed(fault: FaultName, request: web.Request, response: web.StreamResponse) -> web.StreamResponse:
    if fault == "lost-reply" and response.status < 300:
        raise NoResponseError
    if fault == "cut-off" and isinstance(response, web.Response):
        return _CutOffResponse(response, request)
    if fault == "truncated" and isinstance(response, web.Response) and isinstance(response.body, bytes):
        response.body = _half(response.body)
    return response


def _half(body: bytes) -> bytes:
    return body[: len(body) // 2]


def _text(body: str, content_type: str = "application/json") -> web.Response:
    return web.Response(text=body, content_type=content_type)


_RESPONSES: Mapping[FaultName, Callable[[Fault], web.Response]] = {
    "status": lambda fault: error_response(fault.status, "sandbox-fault", fault.retry_after),
    "html": lambda _: _text("<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html"),
    "empty": lambda _: _text(""),
    "malformed-json": lambda _: _text('{"role": "API_USER", accessToken}'),
    "not-object": lambda _: _text('["accessToken"]'),
    "huge": lambda _: _text('{"padding": "' + "x" * 10_000_000 + '"}'),
    "redirect": lambda _: web.Response(status=307, headers={"Location": "/_sandbox/stats"}),
}
_TOKEN_RESPONSES: Mapping[FaultName, Callable[[Fault, TokenFaults, str], web.Response]] = {
    "missing-token": lambda _fault, _call, role: web.json_response({"role": role}),
    "wrong-role": lambda _fault, call, _role: token_response(call.table, call.account.grant(), "ANOTHER_ROLE"),
    "same-token": lambda _fault, call, role: token_response(
        call.table, call.account.last or call.account.grant(), role
    ),
    "extra-fields": lambda fault, call, role: token_response(call.table, call.account.grant(), role, extra=fault.extra),
}
