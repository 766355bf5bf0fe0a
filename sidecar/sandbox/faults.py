"""The faults of a sandbox: a table from a fault's name to its response.

The documented responses, and their common error format.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import msgspec
from aiohttp import web

from sidecar.core.model import Operation, Seconds
from sidecar.sandbox.account import Account, Issued

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


FaultName: TypeAlias = Literal[
    "slow",
    "hang",
    "reset",
    "lost-reply",
    "status",
    "html",
    "empty",
    "truncated",
    "malformed-json",
    "not-object",
    "missing-token",
    "wrong-role",
    "huge",
    "redirect",
    "same-token",
    "extra-fields",
]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault, as `POST /_sandbox/faults` takes it.

    It applies to the next `count` admitted token calls (0: to all until a reset), only to those of `operation` if that
    is given. `latency_s` delays every fault; `slow` only delays. `hang` never responds. `reset` closes the connection
    instead of responding; `lost-reply` does so after a token was issued. `status`, `retry_after`: for `status`.
    `extra`: for `extra-fields`.
    """

    fault: FaultName
    count: int = 1
    operation: Operation | None = None
    latency_s: Seconds = 0
    status: int = 500
    retry_after: str | None = None
    extra: dict[str, object] = {}


class FaultPlan:
    """The pending faults, in the order in which they were added."""

    def __init__(self) -> None:
        self._pending: list[tuple[Fault, int]] = []

    def add(self, fault: Fault) -> None:
        self._pending.append((fault, fault.count))

    def clear(self) -> None:
        self._pending.clear()

    def take(self, operation: Operation) -> Fault | None:
        """Return the fault for this call, if any, and reduce its count by one."""
        for place, (fault, left) in enumerate(self._pending):
            if fault.operation in (None, operation):
                if left == 1:
                    del self._pending[place]
                elif left > 1:
                    self._pending[place] = (fault, left - 1)
                return fault
        return None


def _text(body: str, content_type: str = "application/json") -> web.Response:
    return web.Response(text=body, content_type=content_type)


def _truncated(_fault: Fault, account: Account, role: str) -> web.Response:
    whole = success(account.issue(), role).body
    return web.Response(
        body=whole[: len(whole) // 2] if isinstance(whole, bytes) else b"", content_type="application/json"
    )


ANSWERS: Mapping[str, Callable[[Fault, Account, str], web.Response]] = {
    "status": lambda fault, _account, _role: refusal(fault.status, "sandbox-fault", fault.retry_after),
    "html": lambda *_: _text("<html><body><h1>502 Bad Gateway</h1></body></html>", "text/html"),
    "empty": lambda *_: _text(""),
    "truncated": _truncated,
    "malformed-json": lambda *_: _text('{"role": "API_USER", accessToken}'),
    "not-object": lambda *_: _text('["accessToken"]'),
    "missing-token": lambda _fault, _account, role: web.json_response({"role": role}),
    "wrong-role": lambda _fault, account, _role: success(account.issue(), "ANOTHER_ROLE"),
    "huge": lambda *_: _text('{"padding": "' + "x" * 10_000_000 + '"}'),
    "redirect": lambda *_: web.Response(status=307, headers={"Location": "/_sandbox/stats"}),
    "same-token": lambda _fault, account, role: success(account.last or account.issue(), role),
    "extra-fields": lambda fault, account, role: success(account.issue(), role, fault.extra),
}
"""The response of each fault. The faults missing here act on the connection or only take time."""
