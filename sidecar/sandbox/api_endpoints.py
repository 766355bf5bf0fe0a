"""The simulated partner's endpoints that need a token: payments, refunds, the checkout page, and one list per preset.

Those of other partners are in `sidecar.sandbox.table_endpoints`.

Source: https://pay1st-docs.carry1st.com/reference. Where it names no status or form, docs/sandbox.md tells our choice.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from html import escape
from typing import TypeVar

import msgspec
from aiohttp import web

from sidecar.core.partner_table import PartnerTable
from sidecar.sandbox.arrivals import ARRIVAL, token_of
from sidecar.sandbox.payments import Fulfilment, NewPayment, NewRefund
from sidecar.sandbox.responses import error_response
from sidecar.sandbox.state import SandboxState

PAYMENT_TYPE = "application/vnd.carry1st.payments.payment+json"
REFUND_TYPE = "application/vnd.carry1st.payments.refund+json"
CHECKOUT_PATH = "/checkout"

_Body = TypeVar("_Body")
_Answer = Callable[[web.Request], Awaitable[web.Response]]

_READS = ("GET", "HEAD")
_SIGNATURE_PROBLEMS = {
    "missing": ("SANDBOX-SIGNATURE-MISSING", "The request must be signed"),
    "wrong": ("SANDBOX-SIGNATURE-WRONG", "The signature does not match the timestamp, the body and the Signing Key"),
    "stale": ("SANDBOX-TIMESTAMP", "The timestamp is missing, malformed, or not within the allowed time"),
}


class ApiEndpoints:
    """Checks each request to the endpoints of one preset: method, content type, token, signature; in this order."""

    def __init__(self, table: PartnerTable, state: SandboxState) -> None:
        self._table = table
        self._state = state

    def get(self, path: str, answer: _Answer) -> web.RouteDef:
        return self._route("GET", path, None, answer)

    def post(self, path: str, content_type: str, answer: _Answer) -> web.RouteDef:
        return self._route("POST", path, content_type, answer)

    def error(self, status: int, code: str = "", message: str = "") -> web.Response:
        session_id = f"sandbox-{self._state.clock.new_id()}"
        return error_response(status, session_id, problem=(code, message) if code else None)

    def accepts(self, access: str) -> bool:
        return self._state.accounts[self._table.name].accepts(access)

    def _route(self, method: str, path: str, content_type: str | None, answer: _Answer) -> web.RouteDef:
        async def handle(request: web.Request) -> web.Response:
            return self.problem(request, method, content_type) or await answer(request)

        # Every method, because the error for a wrong method is made here too.
        return web.route("*", path, handle)

    def problem(self, request: web.Request, method: str, content_type: str | None) -> web.Response | None:
        """Return the error for a request that is not `method`, or has no valid token or signature; else None."""
        if request.method != method:
            return self.error(405)
        if content_type is not None and request.headers.get("Content-Type") != content_type:
            return self.error(405)
        if not self.accepts(token_of(request, self._table.header)):
            return self.error(401, "SANDBOX-TOKEN", "The access token is missing, unknown, expired or revoked")
        signed = self._state.config.signed_requests
        must_be_signed = signed == "all" or (signed == "posts" and method not in _READS)
        if must_be_signed and (problem := _SIGNATURE_PROBLEMS.get(request[ARRIVAL].signature or "")):
            return self.error(400, *problem)
        return None


class ProbeEndpoint(ApiEndpoints):
    """The list that each preset names as its probe. It is always empty."""

    def routes(self) -> list[web.RouteDef]:
        return [self.get(self._table.probe_path, self._list)]

    async def _list(self, _request: web.Request) -> web.Response:
        return web.json_response({"items": []})


class PaymentEndpoints(ApiEndpoints):
    """Payments, fulfilments, refunds and the checkout page of the Pay1st Gateway."""

    def routes(self) -> list[web.RouteDef]:
        return [
            self.post("/api/pay1st/payments/create", PAYMENT_TYPE, self._create),
            self.get("/api/pay1st/payments", self._status),
            self.post("/api/pay1st/payments/fulfilments", PAYMENT_TYPE, self._fulfil),
            self.post("/api/pay1st/transactions/refunds/create", REFUND_TYPE, self._refund),
            web.route("*", CHECKOUT_PATH, self._checkout),
        ]

    async def _create(self, request: web.Request) -> web.Response:
        new = await _read(request, NewPayment)
        if new is None:
            return self.error(400)
        payment = self._state.payments.create(new)
        if payment is None:
            return self.error(400, "SANDBOX-DUPLICATE-REFERENCE", "There is a payment with this partnerReference")
        return web.json_response(payment.shown(), status=201)

    async def _status(self, request: web.Request) -> web.Response:
        reference = request.query.get("reference")
        if not reference:
            return self.error(400, "SANDBOX-BAD-REQUEST", "The query parameter reference is missing")
        payment = self._state.payments.find(reference)
        return self._no_payment() if payment is None else web.json_response(payment.shown())

    async def _fulfil(self, request: web.Request) -> web.Response:
        fulfilment = await _read(request, Fulfilment)
        if fulfilment is None:
            return self.error(400)
        if self._state.payments.find(fulfilment.reference) is None:
            return self._no_payment()
        return web.Response()

    async def _refund(self, request: web.Request) -> web.Response:
        new = await _read(request, NewRefund)
        if new is None:
            return self.error(400)
        refund = self._state.payments.refund(new)
        if isinstance(refund, str):
            return self.error(400, "SANDBOX-REFUND", refund)
        return web.json_response(refund, status=201)

    async def _checkout(self, request: web.Request) -> web.Response:
        """Return a page that says whether the token in its URL would still be accepted: 200, or 401."""
        if request.method != "GET":
            return self.error(405)
        reference, access = request.query.get("reference"), request.query.get("accessToken")
        if not reference or not access:
            return _page(400, "reference or accessToken is missing")
        if not self.accepts(access):
            return _page(401, "The access token is not accepted")
        payment = self._state.payments.find(reference)
        if payment is None:
            return _page(404, "There is no such payment")
        shown = f"Payment {payment.reference}: {payment.amount:g} {escape(payment.currency_code)}, {payment.status}"
        return _page(200, f"The access token is accepted. {shown}")

    def _no_payment(self) -> web.Response:
        return self.error(404, "SANDBOX-NO-PAYMENT", "There is no payment with this reference")


async def _read(request: web.Request, shape: type[_Body]) -> _Body | None:
    try:
        return msgspec.json.decode(await request.read(), type=shape)
    except (msgspec.MsgspecError, ValueError):
        return None


def _page(status: int, text: str) -> web.Response:
    body = f"<!doctype html>\n<title>Sandbox checkout</title>\n<p>{text}</p>\n"
    headers = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
    return web.Response(status=status, text=body, content_type="text/html", headers=headers)
