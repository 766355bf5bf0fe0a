"""What an operator is told of requests that the guards refuse: why, and nothing of the request."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

import pytest

from sidecar.core.model import Secret
from sidecar.core.process_events import RequestRefused
from sidecar.credentials.caller_token import CallerTokens
from sidecar.telemetry.log import LogSink, event_fields
from sidecar.telemetry.redaction import Redactor
from sidecar.web.api.guards import GuardSettings
from tests.support.fake_provider import FixedClock
from tests.support.vending_service import vending_service
from tests.support.wire import ASKING, ask

WITH_CALLER_TOKEN = GuardSettings(caller_tokens=lambda: CallerTokens([Secret("caller-token")]))
CANARY = "canary-4711"


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"Host": "localhost"}, "header-required"),
        ({**ASKING, "X-Forwarded-For": CANARY}, "forwarded-request"),
        ({**ASKING, "Host": CANARY}, "host-not-allowed"),
        ({**ASKING, "Authorization": f"Bearer {CANARY}"}, "caller-not-allowed"),
    ],
)
async def test_a_refusal_is_told_by_its_code_alone(headers: Mapping[str, str], code: str) -> None:
    async with vending_service(WITH_CALLER_TOKEN) as service:
        await ask(service.address, f"/v1/token/{CANARY}?x={CANARY}", headers=headers, bare=True)
        assert service.sink.of(RequestRefused) == [RequestRefused(code=code)]
        assert CANARY not in repr(service.sink.of(RequestRefused))


async def test_of_a_trace_that_a_refused_request_belongs_to_its_ids_are_told() -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    async with vending_service() as service:
        for traceparent in (f"00-{trace}-{span}-01", CANARY):
            headers = {"Host": "localhost", "traceparent": traceparent}
            await ask(service.address, "/v1/token", headers=headers, bare=True)
        known, made_up = service.sink.of(RequestRefused)
    assert event_fields(known) == {"code": "header-required", "trace_id": trace, "parent_id": span}
    assert event_fields(made_up) == {"code": "header-required"}


async def test_an_oauth_client_that_is_not_known_is_told_too() -> None:
    async with vending_service(WITH_CALLER_TOKEN) as service:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        body = f"grant_type=client_credentials&client_secret={CANARY}".encode()
        assert (await service.post("/oauth/token", body, form)).status == 401
        assert service.sink.of(RequestRefused) == [RequestRefused(code="caller-not-allowed")]


async def test_other_answers_are_no_refusals_of_the_guards() -> None:
    async with vending_service() as service:
        for path in ("/v1/token", "/v1/token/nobody", "/nowhere", "/v1/token?min_ttl=x"):
            await service.get(path)
        assert service.sink.of(RequestRefused) == []


def test_a_flood_of_refusals_is_one_line_in_ten_seconds_for_each_code() -> None:
    stream, clock = io.StringIO(), FixedClock()
    log = LogSink("json", "info", stream.write, Redactor(), clock)
    for _ in range(1000):
        log.emit(RequestRefused(code="header-required"))
        log.emit(RequestRefused(code="host-not-allowed"))
    clock.passed_s = 10
    log.emit(RequestRefused(code="header-required"))
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [(line["level"], line["code"], line.get("suppressed")) for line in lines] == [
        ("warning", "header-required", None),
        ("warning", "host-not-allowed", None),
        ("warning", "header-required", 999),
    ]
