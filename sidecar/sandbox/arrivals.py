"""What happens to every request to the partner, whatever its path: journal, signature check, faults, and `Date`."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from email.utils import formatdate
from urllib.parse import unquote

import msgspec
from aiohttp import ClientError, web
from aiohttp.typedefs import Handler, Middleware

from sidecar.core.partner_table import PartnerTable, TokenHeader
from sidecar.sandbox.journal import HIDDEN, Arrival
from sidecar.sandbox.responses import NoResponseError, error_response, faulty_response
from sidecar.sandbox.signatures import only_header, signature_state
from sidecar.sandbox.state import SandboxState

ARRIVAL = web.RequestKey("arrival", Arrival)
CONTROL_PATH = "/_sandbox/"
LONGEST_SHOWN = 100
"""In characters. Tokens are longer, so none is shown, however it is encoded."""


class _References(msgspec.Struct, rename="camel"):
    partner_reference: str | None = None
    partner_refund_reference: str | None = None


class Arrivals:
    """The middleware for the partners' paths.

    `open_paths` and paths outside of `known_paths` need no signature. `table_of` returns the partner of a request.
    """

    def __init__(
        self,
        state: SandboxState,
        known_paths: frozenset[str],
        open_paths: frozenset[str],
        table_of: Callable[[web.Request], PartnerTable],
    ) -> None:
        self._state = state
        self._known_paths = known_paths
        self._open_paths = open_paths
        self._table_of = table_of

    def middleware(self) -> Middleware:
        @web.middleware
        async def recorded(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(CONTROL_PATH):
                return await handler(request)
            return await self._recorded(request, handler)

        return recorded

    async def set_date(self, _request: web.Request, response: web.StreamResponse) -> None:
        """Give the response the partner's `Date`, or none."""
        if self._state.config.sends_date:
            response.headers["Date"] = formatdate(self._state.partner_time(), usegmt=True)
        else:
            response.headers.popall("Date", None)

    async def _recorded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        journal = self._state.journal
        arrival = request[ARRIVAL] = self._arrival(request)
        journal.add(arrival)
        try:
            response = await self._respond(request, handler)
        except NoResponseError:
            _reset_connection(request)
            return web.Response()
        journal.answered(arrival, response.status)
        return response

    def _arrival(self, request: web.Request) -> Arrival:
        path = path_of(request)
        known = path in self._known_paths
        return Arrival(
            at=self._state.clock.wall(),
            method=self._shown(request.method),
            path=path if known else self._shown(path),
            known_path=known,
        )

    async def _respond(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            body = await request.read()
        except web.HTTPRequestEntityTooLarge:
            return error_response(413, "sandbox", problem=("SANDBOX-TOO-LARGE", "The request body is too large"))
        except (OSError, ClientError, web.RequestPayloadError):
            raise NoResponseError from None
        self._complete(request, body)
        fault = self._state.faults.take_for_path(request.method, path_of(request))
        if fault is None:
            return await handler(request)
        return await faulty_response(fault, self._state, None, request, handler)

    def _complete(self, request: web.Request, body: bytes) -> None:
        """Record what is known once the body is there."""
        arrival = request[ARRIVAL]
        arrival.whole = True
        if path_of(request) in self._open_paths:
            return
        table = self._table_of(request)
        age_s = self._token_age_s(request, table.header)
        arrival.signature = signature_state(self._state, table.sign, request, body, age_s)
        try:
            sent = msgspec.json.decode(body, type=_References)
        except (msgspec.MsgspecError, ValueError):
            return
        reference = sent.partner_reference or sent.partner_refund_reference
        arrival.partner_reference = None if reference is None else self._shown(reference)

    def _token_age_s(self, request: web.Request, header: TokenHeader) -> float | None:
        access = token_of(request, header)
        ages = [account.age_s(access) for account in self._state.accounts.values()]
        return next((age for age in ages if age is not None), None)

    def _shown(self, text: str) -> str:
        hides = len(text) > LONGEST_SHOWN or self._state.holds_secret(unquote(text))
        return HIDDEN if hides else text


def path_of(request: web.Request) -> str:
    """Return the path as it is routed: without the query, decoded except for `%2F` and `%25`."""
    return request.rel_url.path_safe


def token_of(request: web.Request, header: TokenHeader) -> str:
    """Return the token in its header, or an empty text."""
    value = only_header(request, header.name)
    prefix = f"{header.scheme} " if header.scheme else ""
    return value.removeprefix(prefix) if value.startswith(prefix) else ""


def _reset_connection(request: web.Request) -> None:
    """Close the connection with a TCP reset, as a crashed gateway does."""
    if (transport := request.transport) is None:
        return
    if (sock := transport.get_extra_info("socket")) is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
