"""A real sidecar shows what went through its gateway: `/status.json`, the page, the command and the metrics agree."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from sidecar.cli.main import run
from sidecar.core.model import Secret
from sidecar.sandbox.faults import Fault
from tests.servers import RedisServer
from tests.support.processes import CONFIG, KEY, SECRET, Fleet, open_fleet
from tests.support.replica import CALLER, Replica, until
from tests.support.sandbox_payments import CREATE, PAYMENT_TYPE, payment

SIGNING_KEY = "the-signing-key"
NO_REQUESTS = {"answered": 0, "unreachable": 0, "outcomeUnknown": 0, "notAllowed": 0, "otherErrors": 0}


@pytest.fixture
async def partnered(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Fleet]:
    """A fleet whose partner checks signatures."""
    async with open_fleet(tmp_path, redis_server, replace(CONFIG, signing_key=Secret(SIGNING_KEY))) as fleet:
        fleet.mount(KEY, SECRET, **{"signing-key": SIGNING_KEY})
        yield fleet


def gateway_of(replica: Replica) -> str:
    (address,) = replica.events("service_started")[0]["gateways"]
    return f"http://{address}"


async def paid(fleet: Fleet, replica: Replica, reference: str, content_type: str = PAYMENT_TYPE) -> int:
    """Create a payment through the gateway, and return the status that the app gets."""
    headers = {**CALLER, "Content-Type": content_type}
    body = json.dumps(payment(reference)).encode()
    async with fleet.session.post(gateway_of(replica) + CREATE, data=body, headers=headers) as response:
        return response.status


async def test_every_outcome_is_counted_and_shown(partnered: Fleet, capsys: pytest.CaptureFixture[str]) -> None:
    faults = partnered.sandbox.state.faults
    (replica,) = await partnered.ready(1, GATEWAY_LISTEN="127.0.0.1:0")
    assert (await replica.status())["gateway"]["requests"] == NO_REQUESTS
    assert await paid(partnered, replica, "order-1") == 201
    faults.add(Fault(fault="reset", path=CREATE))
    assert await paid(partnered, replica, "order-2") == 504
    faults.add(Fault(fault="status", status=400, path=CREATE))
    assert await paid(partnered, replica, "order-3") == 400
    async with partnered.session.delete(gateway_of(replica) + CREATE, headers=CALLER) as response:
        assert response.status == 403
    async with partnered.session.get(gateway_of(replica) + CREATE) as response:
        assert response.status == 403

    shown = await replica.status()
    counts = {"answered": 2, "unreachable": 0, "outcomeUnknown": 1, "notAllowed": 1, "otherErrors": 1}
    assert shown["signatures"] == 3 == await replica.metric("signatures_total")
    assert shown["gateway"] == {
        "listen": replica.events("service_started")[0]["gateways"],
        "callsUnderWay": 0,
        "requests": counts,
        "signedBadRequests": {"upTo300Seconds": 1, "over300Seconds": 0},
    }
    assert await replica.metric("gateway_requests_total") == sum(counts.values())
    assert await replica.metric("gateway_requests_total", code="partner-outcome-unknown") == 1
    assert await replica.metric("gateway_signed_bad_requests_total", token_age="up-to-300s") == 1
    assert "2 answered, 1 outcome unknown, 1 not allowed, 1 other errors" in (await replica.admin("/status")).text
    assert await asyncio.to_thread(run, ["status", "--url", replica.page_url.removesuffix("/status")], {}) == 0
    printed = capsys.readouterr().out
    assert "2 answered, 1 not allowed, 1 other errors" in printed
    assert "0 partner unreachable, 1 outcome unknown" in printed


async def test_a_partner_that_cannot_be_reached_and_a_call_under_way_are_shown(partnered: Fleet) -> None:
    (replica,) = await partnered.ready(1, GATEWAY_LISTEN="127.0.0.1:0")
    partnered.sandbox.state.faults.add(Fault(fault="hang", path=CREATE))
    app = asyncio.create_task(paid(partnered, replica, "order-1"))

    async def is_under_way() -> bool:
        return bool((await replica.status())["gateway"]["callsUnderWay"] == 1)

    await until(is_under_way)
    await partnered.sandbox.stop()
    assert await app == 504
    assert await paid(partnered, replica, "order-2") == 502
    shown = (await replica.status())["gateway"]
    assert (shown["callsUnderWay"], shown["requests"]) == (0, NO_REQUESTS | {"outcomeUnknown": 1, "unreachable": 1})


async def test_without_a_gateway_there_is_no_word_of_one(partnered: Fleet) -> None:
    (replica,) = await partnered.ready(1)
    shown = await replica.status()
    assert shown["signatures"] == 0
    assert "gateway" not in shown
    assert "Gateway" not in (await replica.admin("/status")).text
