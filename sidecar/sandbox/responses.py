"""The documented responses, and their common error format."""

from __future__ import annotations

from collections.abc import Mapping

from aiohttp import web

from sidecar.sandbox.account import Issued

_MESSAGES: Mapping[int, tuple[str, str]] = {
    400: ("SANDBOX-BAD-REQUEST", "The request body is not what this endpoint takes"),
    401: ("SANDBOX-UNAUTHORIZED", "Wrong role, or wrong key and secret"),
    403: ("SANDBOX-FORBIDDEN", "Key and secret lack the permission"),
    404: ("SANDBOX-NOT-FOUND", "No such endpoint"),
    405: ("SANDBOX-NOT-ALLOWED", "Wrong method or wrong Content-Type"),
    429: ("SANDBOX-TOO-MANY", "Too many requests"),
}
_OTHER = ("SANDBOX-ERROR", "Something went wrong")


def success(issued: Issued, role: str, extra: Mapping[str, object] | None = None) -> web.Response:
    """Return the documented 200; `extra` fields are added, for fields that the partner may declare in the future."""
    return web.json_response(
        {"role": role, "accessToken": issued.access, "refreshToken": issued.refresh, **(extra or {})}
    )


def refusal(status: int, session_id: str, retry_after: str | None = None) -> web.Response:
    """Return a documented error response."""
    code, message = _MESSAGES.get(status, _OTHER)
    document = {"errorMessage": message, "errorCode": code, "sessionId": session_id}
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    return web.json_response(document, status=status, headers=headers)
