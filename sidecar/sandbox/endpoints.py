"""The simulated partner's endpoints: grant, refresh, and one that requires the token.

Checks of the HTTP requests of token calls; each returns the status of the error, or None.
"""

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
from sidecar.sandbox.faults import ANSWERS, Fault, refusal, success
from sidecar.sandbox.state import Call, SandboxState


def head_problem(preset: Preset, operation: Operation, request: web.Request) -> int | None:
    """Return 405 for another method or Content-Type, as documented.

    Return 400 for a refresh whose Accept differs from the documented one, or with a needless key and secret. This is
    stricter than the documentation, because such a client has a bug.
    """
    if request.method != "POST" or request.headers.get("Content-Type") != preset.content_type:
        return 405
    if operation is Operation.REFRESH:
        exact = request.headers.get("Accept") == preset.content_type and "Authorization" not in request.headers
        return None if exact else 400
    return None


async def read_body(request: web.Request) -> Mapping[str, str] | None:
    """Return the JSON object of strings in the body, or None."""
    try:
        document = json.loads(await request.read())
    except (ValueError, RecursionError, web.HTTPRequestEntityTooLarge):
        return None
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        return None
    return document


def body_problem(operation: Operation, body: Mapping[str, str] | None, role: str) -> int | None:
    """Return 400 for a body without the documented fields, 401 for another role."""
    needed = {"role"} if operation is Operation.GRANT else {"role", "refreshToken"}
    if body is None or not needed <= body.keys():
        return 400
    return None if body["role"] == role else 401


def carries_pair(request: web.Request, pairs: AbstractSet[bytes]) -> bool:
    """Return whether the Authorization header is Basic with exactly one of these `key:secret`."""
    scheme, _, credentials = request.headers.get("Authorization", "").partition(" ")
    try:
        sent = base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return False
    return scheme.lower() == "basic" and any(hmac.compare_digest(sent, pair) for pair in pairs)


class _NoAnswer(Exception):  # noqa: N818 - not an error, but a request to reset the connection
    """The connection is to be reset."""


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

    async def _grant(self, request: web.Request) -> web.StreamResponse:
        return await self._token_call(Operation.GRANT, request)

    async def _refresh(self, request: web.Request) -> web.StreamResponse:
        return await self._token_call(Operation.REFRESH, request)

    async def _token_call(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        clock = self._state.clock
        call = Call(self._preset.name, operation, clock.wall(), clock.monotonic())
        self._state.journal.calls.append(call)
        try:
            response = await self._answer(operation, request)
        except _NoAnswer:
            _reset_connection(request)
            return web.Response()
        call.status = response.status
        return response

    async def _answer(self, operation: Operation, request: web.Request) -> web.Response:
        state = self._state
        account = state.accounts[self._preset.name]
        await state.clock.sleep(state.config.latency_s)
        if problem := head_problem(self._preset, operation, request):
            return self._refuse(problem)
        if wait_s := account.admit():
            return self._refuse(429, self._retry_after(wait_s))
        fault = state.faults.take(operation)
        if fault is not None:
            await self._suffer(fault)
            if fault.fault in ANSWERS:
                return ANSWERS[fault.fault](fault, account, state.config.role)
        if problem := await self._problem(operation, request):
            return self._refuse(problem)
        issued = account.issue()
        declared = {"expiresIn": account.left_s(issued)} if state.config.declares_lifetime else {}
        response = success(issued, state.config.role, declared)
        if fault is not None and fault.fault == "lost-reply":
            raise _NoAnswer
        return response

    async def _suffer(self, fault: Fault) -> None:
        """Delay the call or break the connection, as the fault requires."""
        await self._state.clock.sleep(fault.latency_s)
        if fault.fault == "hang":
            await self._state.stopping.wait()
        if fault.fault in ("hang", "reset"):
            raise _NoAnswer

    async def _problem(self, operation: Operation, request: web.Request) -> int | None:
        body = await read_body(request)
        if problem := body_problem(operation, body, self._state.config.role):
            return problem
        if operation is Operation.GRANT:
            welcome = carries_pair(request, self._state.pairs)
        else:
            welcome = self._state.accounts[self._preset.name].spend_refresh((body or {})["refreshToken"])
        return None if welcome else 401

    async def _probe(self, request: web.Request) -> web.StreamResponse:
        scheme, _, access = request.headers.get(self._preset.token_header, "").partition(" ")
        if request.method != "GET":
            response = self._refuse(405)
        elif scheme != "Bearer" or not self._state.accounts[self._preset.name].accepts(access):
            response = self._refuse(401)
        else:
            response = web.json_response({"items": []})
        self._state.journal.probes[response.status] += 1
        return response

    def _refuse(self, status: int, retry_after: str | None = None) -> web.Response:
        return refusal(status, f"sandbox-{self._state.clock.new_id()}", retry_after)

    def _retry_after(self, wait_s: Seconds) -> str | None:
        form = self._state.config.retry_after
        if form == "none":
            return None
        if form == "date":
            return formatdate(math.ceil(self._state.clock.wall() + wait_s), usegmt=True)
        return str(math.ceil(wait_s))


def _reset_connection(request: web.Request) -> None:
    """Close the connection with a TCP reset, as a crashed gateway does."""
    if (transport := request.transport) is None:
        return
    if (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
