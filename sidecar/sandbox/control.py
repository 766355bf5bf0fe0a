"""The control path `/_sandbox/…`: switches and counts for tests and people. From loopback only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec
from aiohttp import web

from sidecar.core.proxies import is_loopback
from sidecar.sandbox.faults import Fault
from sidecar.sandbox.payments import PaymentStatus
from sidecar.sandbox.responses import error_response
from sidecar.sandbox.state import SandboxState

_Body = TypeVar("_Body")


class _NewCredentials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, rename="camel"):
    """`{"apiKey": …, "apiSecret": …}`; without `signingKey` the present one stays."""

    api_key: str
    api_secret: str
    signing_key: str | None = None


class _PaymentResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`{"reference": "C-…-P", "status": "SUCCESSFUL"}`: what became of a payment."""

    reference: str
    status: PaymentStatus


class ControlEndpoints:
    """`stats` and `journal` show what arrived. The others act, and return 204, or 400 with a reason."""

    def __init__(self, state: SandboxState) -> None:
        self._state = state

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/_sandbox/stats", self._stats),
            web.get("/_sandbox/journal", self._journal),
            web.post("/_sandbox/faults", self._faults),
            web.post("/_sandbox/reset", self._reset),
            web.post("/_sandbox/revoke", self._revoke),
            web.post("/_sandbox/credentials", self._credentials),
            web.post("/_sandbox/payments", self._payments),
        ]

    async def _stats(self, _request: web.Request) -> web.Response:
        live = {name: account.live_tokens() for name, account in self._state.accounts.items()}
        return web.json_response({**self._state.journal.stats(), "live_tokens": live})

    async def _journal(self, _request: web.Request) -> web.Response:
        return web.json_response(self._state.journal.shown())

    async def _faults(self, request: web.Request) -> web.Response:
        self._state.faults.add(await _read(request, Fault))
        return web.Response(status=204)

    async def _reset(self, _request: web.Request) -> web.Response:
        self._state.reset()
        return web.Response(status=204)

    async def _revoke(self, _request: web.Request) -> web.Response:
        for account in self._state.accounts.values():
            account.revoke()
        return web.Response(status=204)

    async def _credentials(self, request: web.Request) -> web.Response:
        new = await _read(request, _NewCredentials)
        self._state.rotate(new.api_key, new.api_secret, new.signing_key)
        return web.Response(status=204)

    async def _payments(self, request: web.Request) -> web.Response:
        result = await _read(request, _PaymentResult)
        payment = self._state.payments.find(result.reference)
        if payment is None:
            raise web.HTTPBadRequest(text="no such payment\n")
        payment.status = result.status
        return web.Response(status=204)


async def _read(request: web.Request, shape: type[_Body]) -> _Body:
    try:
        return msgspec.json.decode(await request.read(), type=shape)
    except msgspec.MsgspecError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from None


@web.middleware
async def loopback_only(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Return 404 for the control path to clients that are not on loopback."""
    if request.path.startswith("/_sandbox/") and not is_loopback(request.remote or ""):
        return error_response(404, "sandbox")
    return await handler(request)
