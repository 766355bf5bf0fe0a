"""Requests of an app to the sandbox, with signatures made by `hmac` alone."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sidecar.core.model import Secret
from tests.support.sandbox_bench import CONFIG, Bench

KEY = "canary-signing-key"
SIGNED_CONFIG = replace(CONFIG, signing_key=Secret(KEY))
"""Of a sandbox that checks signatures."""
CREATE = "/api/pay1st/payments/create"
FULFILMENTS = "/api/pay1st/payments/fulfilments"
REFUNDS = "/api/pay1st/transactions/refunds/create"
PAYMENT_TYPE = "application/vnd.carry1st.payments.payment+json"
REFUND_TYPE = "application/vnd.carry1st.payments.refund+json"


def payment(reference: str = "order-1", **more: object) -> dict[str, object]:
    return {"countryCode": "NG", "currencyCode": "NGN", "amount": 100, "partnerReference": reference, **more}


def signature(timestamp: str, body: bytes, key: str = KEY) -> str:
    return hmac.new(key.encode(), timestamp.encode() + body, hashlib.sha256).hexdigest()


def timestamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


class App:
    """Has a token of its own, and signs each request now."""

    def __init__(self, bench: Bench, access: str) -> None:
        self.bench, self.access = bench, access

    @classmethod
    async def of(cls, bench: Bench) -> App:
        return cls(bench, (await bench.grant()).access.reveal())

    def headers(self, body: bytes = b"", *, late_s: float = 0, **more: str) -> dict[str, str]:
        """`more` names headers by their lower-case names with underscores; an empty text leaves one out."""
        at = timestamp(self.bench.clock.wall() - late_s)
        headers = {
            "accesstoken": f"Bearer {self.access}",
            "x-timestamp": at,
            "x-signature": signature(at, body),
            **{name.replace("_", "-"): value for name, value in more.items()},
        }
        return {name: value for name, value in headers.items() if value}

    async def post(
        self, path: str, document: object, content_type: str = PAYMENT_TYPE, *, late_s: float = 0, **more: str
    ) -> tuple[int, dict[str, Any]]:
        body = document if isinstance(document, str) else json.dumps(document)
        headers = self.headers(body.encode(), late_s=late_s, **{"content-type": content_type, **more})
        return await self.bench.request("POST", path, headers=headers, data=body)

    async def create(self, reference: str = "order-1", *, late_s: float = 0, **more: str) -> tuple[int, dict[str, Any]]:
        return await self.post(CREATE, payment(reference), late_s=late_s, **more)

    async def get(self, path: str, **more: str) -> tuple[int, dict[str, Any]]:
        return await self.bench.request("GET", path, headers={"AccessToken": f"Bearer {self.access}", **more})

    async def journal(self) -> dict[str, Any]:
        return (await self.bench.request("GET", "/_sandbox/journal"))[1]
