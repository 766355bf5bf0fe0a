"""The simulated partner's endpoints for tokens: grant and refresh."""

from __future__ import annotations

import hmac
import math
from email.utils import formatdate
from functools import partial

from aiohttp import web

from sidecar.core.model import Operation, Seconds
from sidecar.core.partner_table import PartnerTable
from sidecar.sandbox.journal import Call
from sidecar.sandbox.responses import TokenFaults, faulty_response, refresh_token_error, token_error, token_response
from sidecar.sandbox.state import SandboxState
from sidecar.sandbox.token_requests import head_problem, operation_of, read_token_request


class TokenEndpoints:
    """The token endpoints of one partner, with the state of one sandbox."""

    def __init__(self, table: PartnerTable, state: SandboxState) -> None:
        self._table = table
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        """Return routes for every method, because the error for a wrong method is made here too."""
        paths = dict.fromkeys(path for path in (self._table.token_path, self._table.refresh_path) if path)
        return [web.route("*", path, partial(self._token_call, path)) for path in paths]

    async def _token_call(self, path: str, request: web.Request) -> web.StreamResponse:
        operation = await operation_of(self._table, path, request)
        clock = self._state.clock
        call = Call(self._table.name, operation, clock.wall(), clock.monotonic())
        self._state.journal.calls.append(call)
        response = await self._respond(operation, request)
        call.status = response.status
        return response

    async def _respond(self, operation: Operation, request: web.Request) -> web.StreamResponse:
        """Return the response. Raises `NoResponseError`."""
        state, table, account = self._state, self._table, self._state.accounts[self._table.name]
        await state.clock.sleep(state.config.latency_s)
        if status := head_problem(table, operation, request):
            return self._error(status)
        if wait_s := account.admit_call():
            return self._error(429, self._retry_after(wait_s))
        issue = partial(self._issue, operation)
        fault = state.faults.take(operation)
        if fault is None:
            return await issue(request)
        return await faulty_response(fault, state, TokenFaults(table, account), request, issue)

    async def _issue(self, operation: Operation, request: web.Request) -> web.Response:
        """Check body and credentials, and return new tokens or the error."""
        table, account = self._table, self._state.accounts[self._table.name]
        sent = await read_token_request(table, operation, request, partial(self._of_assertion, request))
        if sent is None:
            return self._error(400)
        if table.role_field and sent.role != self._state.config.role:
            return self._error(401)
        known = sent.credentials is None or any(
            hmac.compare_digest(sent.credentials, each) for each in self._state.credentials
        )
        if not known:
            return self._error(401)
        issued = account.grant() if operation is Operation.GRANT else account.refresh(sent.refresh_token)
        if issued is None:
            return refresh_token_error(table, self._session_id())
        left_s = account.left_s(issued) if self._state.config.declares_lifetime else None
        return token_response(table, issued, self._state.config.role, left_s)

    def _of_assertion(self, request: web.Request, assertion: str) -> bytes:
        table, state = self._table, self._state
        audience = table.assertion_audience or f"{request.scheme}://{request.host}{table.token_path}"
        return state.assertions.credentials_of(assertion, state.credentials, audience, state.partner_time())

    def _error(self, status: int, retry_after: str | None = None) -> web.Response:
        return token_error(self._table, status, self._session_id(), retry_after)

    def _session_id(self) -> str:
        return f"sandbox-{self._state.clock.new_id()}"

    def _retry_after(self, wait_s: Seconds) -> str | None:
        form = self._state.config.retry_after
        if form == "none":
            return None
        if form == "date":
            return formatdate(math.ceil(self._state.partner_time() + wait_s), usegmt=True)
        return str(math.ceil(wait_s))
