"""The simulated partner's endpoints: grant, refresh, and a probe that requires the token."""

from __future__ import annotations

import base64
import binascii
import hmac
import json
import math
import socket
import struct
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from email.utils import formatdate

from aiohttp import web

from sidecar.core.model import Operation, Seconds
from sidecar.partner.presets import Preset
from sidecar.sandbox.responses import FAULT_RESPONSES, error_response, token_response
from sidecar.sandbox.state import Call, SandboxState


class PartnerEndpoints:
    """The endpoints of one preset, with the state of one sandbox."""

    def __init__(self, preset: Preset, state: SandboxState) -> None:
        self._preset = preset
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """Return routes for every method, because the error for a wrong method is made here too."""
        routes = [
            web.route("*", self._preset.grant_path, self._grant),
            web.route("*", self._preset.probe_path, self._probe),
        ]
        if self._preset.refresh_path is not None:
            routes.append(web.route("*", self._preset.refresh_path, self._refresh))
        return routes

    async def _grant(self, request: web.Request) -> web.Response:
        return await self._token_call(Operation.GRANT, request)

    async def _refresh(self, request: web.Request) -> web.Response:
        return await self._token_call(Operation.REFRESH, request)

    async def _probe(self, request: web.Request) -> web.Response:
        scheme, _, access = request.headers.get(self._preset.token_header, "").partition(" ")
        if request.method != "GET":
            response = self._error(405)
        elif scheme != "Bearer" or not self._state.accounts[self._preset.name].accepts(access):
            response = self._error(401)
        else:
            response = web.json_response({"items": []})
        self._state.journal.probes[response.status] += 1
        return response

    async def _token_call(self, operation: Operation, request: web.Request) -> web.Response:
        clock = self._state.clock
        call = Call(self._preset.name, operation, clock.wall(), clock.monotonic())
        self._state.journal.calls.append(call)
        response = await self._respond(operation, request)
        if response is None:
            _reset_connection(request)
            return web.Response()
        call.status = response.status
        return response

    async def _respond(self, operation: Operation, request: web.Request) -> web.Response | None:
        """Return the response, or None if the connection is reset instead."""
        state, account = self._state, self._state.accounts[self._preset.name]
        await state.clock.sleep(state.config.latency_s)
        if status := _head_problem(self._preset, operation, request):
            return self._error(status)
        if wait_s := account.admit_call():
            return self._error(429, self._retry_after(wait_s))
        fault = state.faults.take(operation)
        if fault is None:
            return await self._issue(operation, request)
        await state.clock.sleep(fault.latency_s)
        if fault.fault == "hang":
            await state.stopping.wait()
        if fault.fault in ("hang", "reset"):
            return None
        if fault.fault in FAULT_RESPONSES:
            return FAULT_RESPONSES[fault.fault](fault, account, state.config.role)
        response = await self._issue(operation, request)
        return None if fault.fault == "lost-reply" and response.status == 200 else response

    async def _issue(self, operation: Operation, request: web.Request) -> web.Response:
        """Check body and credentials, and return new tokens or the error."""
        account, config = self._state.accounts[self._preset.name], self._state.config
        body = await _read_body(request)
        needed = {"role"} if operation is Operation.GRANT else {"role", "refreshToken"}
        if body is None or not needed <= body.keys():
            return self._error(400)
        if body["role"] != config.role:
            return self._error(401)
        if operation is Operation.GRANT:
            accepted = _has_credentials(request, self._state.credentials)
        else:
            accepted = account.spend_refresh(body["refreshToken"])
        if not accepted:
            return self._error(401)
        issued = account.issue()
        declared = {"expiresIn": account.left_s(issued)} if config.declares_lifetime else {}
        return token_response(issued, config.role, declared)

    def _error(self, status: int, retry_after: str | None = None) -> web.Response:
        return error_response(status, f"sandbox-{self._state.clock.new_id()}", retry_after)

    def _retry_after(self, wait_s: Seconds) -> str | None:
        form = self._state.config.retry_after
        if form == "none":
            return None
        if form == "date":
            return formatdate(math.ceil(self._state.clock.wall() + wait_s), usegmt=True)
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
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError, web.HTTPRequestEntityTooLarge):
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


def _reset_connection(request: web.Request) -> None:
    """Close the connection with a TCP reset, as a crashed gateway does."""
    if (transport := request.transport) is None:
        return
    if (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
