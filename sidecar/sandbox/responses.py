"""The documented responses and errors of the partner, and the responses of the faults."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from aiohttp import web

from sidecar.sandbox.account import Account, Issued
from sidecar.sandbox.faults import Fault, FaultName

_ERRORS: Mapping[int, tuple[str, str]] = {
    400: ("SANDBOX-BAD-REQUEST", "The request body is not what this endpoint takes"),
    401: ("SANDBOX-UNAUTHORIZED", "Wrong role, or wrong key and secret"),
    403: ("SANDBOX-FORBIDDEN", "Key and secret lack the permission"),
    404: ("SANDBOX-NOT-FOUND", "No such endpoint"),
    405: ("SANDBOX-NOT-ALLOWED", "Wrong method or wrong Content-Type"),
    429: ("SANDBOX-TOO-MANY", "Too many requests"),
}
_OTHER_ERROR = ("SANDBOX-ERROR", "Something went wrong")


def token_response(issued: Issued, role: str, extra: Mapping[str, object] | None = None) -> web.Response:
    """Return the documented 200; `extra` fields are added, for fields that the partner may declare in the future."""
    return web.json_response(
        {"role": role, "accessToken": issued.access, "refreshToken": issued.refresh, **(extra or {})}
    )


def error_response(status: int, session_id: str, retry_after: str | None = None) -> web.Response:
    """Return an error in the documented form, which all endpoints share."""
    code, message = _ERRORS.get(status, _OTHER_ERROR)
    document = {"errorMessage": message, "errorCode": code, "sessionId": session_id}
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return web.json_response(document, status=status, headers=headers)


def _text(body: str, content_type: str = "application/json") -> web.Response:
    return web.Response(text=body, content_type=content_type)


def _truncated(_fault: Fault, account: Account, role: str) -> web.Response:
    whole = token_response(account.issue(), role).text or ""
    return _text(whole[: len(whole) // 2])


FAULT_RESPONSES: Mapping[FaultName, Callable[[Fault, Account, str], web.Response]] = {
    "status": lambda fault, _account, _role: error_response(fault.status, "sandbox-fault", fault.retry_after),
    "html": lambda *_: _text("<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html"),
    "empty": lambda *_: _text(""),
    "truncated": _truncated,
    "malformed-json": lambda *_: _text('{"role": "API_USER", accessToken}'),
    "not-object": lambda *_: _text('["accessToken"]'),
    "missing-token": lambda _fault, _account, role: web.json_response({"role": role}),
    "wrong-role": lambda _fault, account, _role: token_response(account.issue(), "ANOTHER_ROLE"),
    "huge": lambda *_: _text('{"padding": "' + "x" * 10_000_000 + '"}'),
    "redirect": lambda *_: web.Response(status=307, headers={"Location": "/_sandbox/stats"}),
    "same-token": lambda _fault, account, role: token_response(account.last or account.issue(), role),
    "extra-fields": lambda fault, account, role: token_response(account.issue(), role, fault.extra),
}
"""The response of each fault. The faults missing here act on the connection or only take time."""
