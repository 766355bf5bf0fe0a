"""Real sidecars end, or lose their apps, while a payment is under way: it arrives once, and the log has its outcome."""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from asyncio.subprocess import DEVNULL, create_subprocess_exec
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sidecar.core.model import Secret
from sidecar.sandbox.faults import Fault, FaultName
from tests.servers import RedisServer
from tests.support.processes import CONFIG, KEY, SECRET, Fleet, open_fleet
from tests.support.replica import CALLER, PATIENT_S, Answer, Replica, until
from tests.support.sandbox_payments import CREATE, PAYMENT_TYPE, payment

SIGNING_KEY = "the-signing-key"
HEADERS = {**CALLER, "Content-Type": PAYMENT_TYPE}
BODY = json.dumps(payment("order-4711"))
APP = """
import sys, urllib.request
url, body, *headers = sys.argv[1:]
request = urllib.request.Request(url, body.encode(), dict(header.split(": ") for header in headers))
urllib.request.urlopen(request)
"""
"""An app that makes one call."""


@pytest.fixture
async def fleet(tmp_path: Path, redis_server: RedisServer) -> AsyncIterator[Fleet]:
    async with open_fleet(tmp_path, redis_server, replace(CONFIG, signing_key=Secret(SIGNING_KEY))) as opened:
        opened.mount(KEY, SECRET, **{"signing-key": SIGNING_KEY})
        opened.settings["SIDECAR_GATEWAY_LISTEN"] = "127.0.0.1:0"
        yield opened


def url_of(replica: Replica) -> str:
    (address,) = replica.events("service_started")[0]["gateways"]
    return f"http://{address}{CREATE}"


async def create(fleet: Fleet, replica: Replica) -> Answer:
    async with fleet.session.post(url_of(replica), data=BODY, headers=HEADERS) as response:
        return Answer(response.status, response.headers, await response.text())


def arrivals(fleet: Fleet) -> list[tuple[str | None, bool, str | None, int]]:
    """Return reference, whether it was whole, signature and status of each payment that arrived."""
    journal = fleet.sandbox.state.journal.arrivals
    return [
        (one.partner_reference, one.whole, one.signature, one.status)
        for one in journal
        if (one.method, one.path) == ("POST", CREATE)
    ]


def spoil(fleet: Fleet, fault: FaultName) -> None:
    fleet.sandbox.state.faults.add(Fault(fault=fault, path=CREATE, count=0))


def audit(replica: Replica) -> list[dict[str, Any]]:
    return [line for line in replica.events("audit") if line["endpoint"] == "gateway"]


@pytest.mark.parametrize("drain_s", ["0", "0.2"])
async def test_a_sidecar_that_ends_while_a_payment_hangs_says_that_its_outcome_is_unknown(
    fleet: Fleet, drain_s: str
) -> None:
    (replica,) = await fleet.ready(1, DRAIN_S=drain_s, GATEWAY_TIMEOUT_S="600")
    spoil(fleet, "hang")
    asking = asyncio.create_task(create(fleet, replica))
    await until(lambda: [whole for _, whole, _, _ in arrivals(fleet)] == [True])
    await fleet.stop(replica)
    answer = await asking
    assert (answer.status, answer.code, answer.body["sent"]) == (504, "partner-outcome-unknown", True)
    assert (answer.headers["Sidecar-Answer"], answer.headers["Sidecar-Attempts"]) == ("sidecar", "1")
    assert arrivals(fleet) == [("order-4711", True, "valid", 0)]
    assert [(line["code"], line["attempts"]) for line in audit(replica)] == [("partner-outcome-unknown", 1)]
    assert [line["cause"] for line in replica.events("partner_outcome_unknown")] == ["sidecar stopped"]


async def test_a_sidecar_that_drains_passes_the_response_on(fleet: Fleet) -> None:
    (replica,) = await fleet.ready(1, DRAIN_S="300", GATEWAY_TIMEOUT_S="600")
    spoil(fleet, "slow")
    fleet.partner_clock.free.clear()
    asking = asyncio.create_task(create(fleet, replica))
    await until(lambda: len(arrivals(fleet)) == 1)
    replica.signal(signal.SIGTERM)
    await until(lambda: bool(replica.events("service_stopping")))
    fleet.partner_clock.free.set()
    answer = await asking
    assert (answer.status, answer.headers["Sidecar-Answer"], answer.headers["Connection"]) == (201, "partner", "close")
    # The second signal ends the drain.
    await fleet.stop(replica)
    assert arrivals(fleet) == [("order-4711", True, "valid", 201)]
    assert [(line["code"], line["status"], line["complete"]) for line in audit(replica)] == [("2xx", 201, True)]


async def test_a_payment_whose_app_is_killed_arrives_once_and_its_outcome_is_in_the_log(fleet: Fleet) -> None:
    (replica,) = await fleet.ready(1, GATEWAY_TIMEOUT_S=str(PATIENT_S))
    spoil(fleet, "slow")
    fleet.partner_clock.free.clear()
    headers = [f"{name}: {value}" for name, value in HEADERS.items()]
    app = await create_subprocess_exec(
        sys.executable, "-c", APP, url_of(replica), BODY, *headers, stdout=DEVNULL, stderr=DEVNULL
    )
    await until(lambda: len(arrivals(fleet)) == 1)
    app.kill()
    await app.wait()
    # Its end was sent before this request, so the sidecar sees it first.
    assert (await replica.ask()).status == 200
    fleet.partner_clock.free.set()
    await until(lambda: bool(audit(replica)))
    (line,) = audit(replica)
    assert (line["code"], line["status"], line["attempts"], line["complete"]) == ("2xx", 201, 1, False)
    assert arrivals(fleet) == [("order-4711", True, "valid", 201)]
    assert (await create(fleet, replica)).body["errorCode"], "a reference is used once"
    await fleet.stop(replica)
