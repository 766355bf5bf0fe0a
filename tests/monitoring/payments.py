"""Payments through the gateway, first without faults, then each fault that has an alert."""

from __future__ import annotations

import asyncio
import json
import uuid

import aiohttp

from sidecar.sandbox import Sandbox
from sidecar.sandbox.faults import Fault
from tests.support.replica import CALLER, Replica
from tests.support.sandbox_payments import CREATE, PAYMENT_TYPE, payment

OLD_TOKEN_S = 400
"""The age of the token in the store when the sidecars start. Such a token is not due for a refresh."""
REFUSED = 4
"""More signed requests than the alert on old tokens needs."""
AT_ONCE = 20


async def pay(session: aiohttp.ClientSession, replica: Replica) -> int:
    """Create a payment through the gateway, and return the status that the app gets."""
    (address,) = replica.events("service_started")[0]["gateways"]
    headers = {**CALLER, "Content-Type": PAYMENT_TYPE}
    body = json.dumps(payment(uuid.uuid4().hex)).encode()
    async with session.post(f"http://{address}{CREATE}", data=body, headers=headers) as response:
        return response.status


async def payments_fail(session: aiohttp.ClientSession, partner: Sandbox, replica: Replica) -> None:
    """Old tokens cannot sign, then a response is lost, then the partner cannot be reached."""
    assert await pay(session, replica) == 201
    faults = partner.state.faults
    faults.add(Fault(fault="status", status=400, path=CREATE, count=0))
    assert [await pay(session, replica) for _ in range(REFUSED)] == [400] * REFUSED
    assert await replica.metric("gateway_signed_bad_requests_total", token_age="up-to-300s") == 0
    faults.clear()
    faults.add(Fault(fault="lost-reply", path=CREATE, count=0))
    assert await pay(session, replica) == 504
    await partner.stop()
    while await replica.metric("gateway_requests_total", code="partner-unreachable") < (
        await replica.metric("gateway_requests_total") / 5
    ):
        # 504 on a connection that was kept and is closed in this moment.
        assert set(await asyncio.gather(*(pay(session, replica) for _ in range(AT_ONCE)))) <= {502, 504}
