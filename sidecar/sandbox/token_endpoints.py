"""The simulated partner's endpoints for tokens: grant and refresh."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from email.utils import formatdate
from functools import partial

from aiohttp import web

from sidecar.core.model import Operation, Seconds
from sidecar.partner.presets import Preset
from sidecar.sandbox.journal import Call
from sidecar.sandbox.responses import error_response, faulty_response, token_response
from sidecar.sandbox.state import SandboxState

MAX_TOKEN_BODY_BYTES = 64 * 1024


class TokenEndpoints:
    """The token endpoints of one preset, with the state of one sandbox."""

    def __init__(self, preset: Preset, state: SandboxState) -> None:
        self._preset = preset
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """Return routes for every method, because the error for a wrong method is made here too."""
        routes = [web.route("*", self._preset.grant_path, self._grant)]
        if self._preset.refresh_path is not None:
            routes.append(web.route("*", self._preset.refresh_path, self._refresh))
        return routes

    async def _grant(self, request: web.Request) -> web.StreamResponse:
        return await self._token_call(Operation.GRANT, request)

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        return await self._token_call(Operation.REFRESH, request)

    async def _token_call(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        clock = self._state.clock
        call = Call(self._preset.name, operation, clock.wall(), clock.monotonic())
        self._state.journal.calls.append(call)
        response = await self._respond(operation, request)
        call.status = response.status
        return response

    async def _respond(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        """Return the response. Raises `NoResponseError`."""
        state, account = self._state, self._state.accounts[self._preset.name]
        await state.clock.sleep(state.config.latency_s)
        if status := _head_problem(self._preset, operation, request):
            return self._error(status)
        if wait_s := account.admit_call():
            return self._error(429, self._retry_after(wait_s))
        issue = partial(self._issue, operation)
        fault = state.faults.take(operation)
        if fault is None:
            return await issue(request)
        return await faulty_response(fault, state, account, request, issue)

    async def _issue(self, operation: Operation, request: web.Request) -> web.Response:
        """Check body and credentials, and return new tokens or the error."""
        account, config = self._state.accounts[self._preset.name], self._state.config
        body = await _read_body(request)
        needed = {"role"} if operation is Operation.GRANT else {"role", "refreshToken"}
        if body is None or not needed <= body.keys():
            return self._error(400)
        if body["role"] != config.role:
            return self._error(401)
        if operation is Operation.REFRESH:
            issued = account.refresh(body["refreshToken"])
        else:
            issued = account.grant() if _has_credentials(request, self._state.credentials) else None
        if issued is None:
            return self._error(401)
        declared = {"expiresIn": account.left_s(issued)} if config.declares_lifetime else {}
        return token_response(issued, config.role, declared)

    def _error(self, status: int, retry_after: str | None = None) -> web.Response:
        return error_response(status, f"sandbox-{self._state.clock.new_id()}", retry_after)

    def _retry_after(self, wait_s: Seconds) -> str | None:
        form = self._state.config.retry_after
        if form == "none":
            return None
        if form == "date":
            return formatdate(math.ceil(self._state.partner_time() + wait_s), usegmt=True)
        return str(math.ceil(wait_s))


def _head_problem(preset: Preset, operation: Operation, request: web.Request) -> int | None:
    """Return 405 for another method or Content-Type, as documented, else None for a valid head.

    Return 400 for a refresh whose Accept differs from the documented one, or with a needless key and secret. This is
    stricter than the documentation, because such a client has a bug.
    """
    if request.method != "POST" or request.headers.get("Content-Type") != preset.content_type:
        return 405
    if operation is Operation.REFRESH:
        exact = request.headers.get("Accept") == preset.content_type and "Authorization" not in request.headers
        return None if exact else 400
    return None


async def _read_body(request: web.Request) -> Mapping[str, str] | None:
    """Return the JSON object of strings in the body, or None."""
    content = await request.read()
    if len(content) > MAX_TOKEN_BODY_BYTES:
        return None
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        return None
    return document


def _has_credentials(request: web.Request, accepted: AbstractSet[bytes]) -> bool:
    """Return whether the Authorization header is Basic with exactly one of these `key:secret`."""
    scheme, _, encoded = request.headers.get("Authorization", "").partition(" ")
    try:
        sent = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and any(hmac.compare_digest(sent, each) for each in accepted)
