"""Faults of single paths of a sandbox: what clients get, and what took effect."""

from __future__ import annotations

import asyncio
import json

import aiohttp
import pytest

from sidecar.sandbox import SandboxConfig
from tests.support.replica import HANG_S
from tests.support.sandbox_bench import PAY1ST, Bench
from tests.support.sandbox_payments import CREATE, PAYMENT_TYPE, SIGNED_CONFIG, App, payment

METHODS = "/api/pay1st/payments/methods"


@pytest.fixture
def config() -> SandboxConfig:
    return SIGNED_CONFIG


async def test_a_fault_of_a_path_applies_there_and_nowhere_else(app: App) -> None:
    await app.bench.fault(fault="status", status=503, path=CREATE, count=2)
    assert (await app.get(METHODS))[0] == 200
    await app.bench.grant()
    assert [(await app.create())[0] for _ in range(3)] == [503, 503, 201]


async def test_a_fault_without_a_path_is_of_token_calls_only(app: App) -> None:
    await app.bench.fault(fault="status", status=503)
    assert (await app.create())[0] == 201
    await app.bench.failure()


async def test_a_star_stands_for_any_rest_of_a_path(app: App) -> None:
    await app.bench.fault(fault="status", status=500, path="/api/pay1st/payments*", count=0)
    assert [(await app.create())[0], (await app.get(METHODS))[0]] == [500, 500]
    assert (await app.get("/api/distributors/products"))[0] == 401


async def test_a_fault_of_a_path_can_be_of_one_method(app: App) -> None:
    await app.bench.fault(fault="status", status=500, path="*", method="POST", count=0)
    assert [(await app.create())[0], (await app.get(METHODS))[0]] == [500, 200]


async def test_a_fault_of_a_token_path_applies_before_the_rate_limit(bench: Bench) -> None:
    await bench.fault(fault="status", status=500, path=PAY1ST.token_path)
    await bench.failure()
    assert bench.sandbox.state.journal.calls == []
    await bench.grant()


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 500, 502, 503])
async def test_a_path_can_answer_any_status_in_the_partners_form(app: App, status: int) -> None:
    await app.bench.fault(fault="status", status=status, path=CREATE, retry_after="7")
    async with app.bench.session.post(app.bench.url + CREATE, data=b"") as response:
        assert (response.status, response.headers["Retry-After"]) == (status, "7")
        assert sorted(await response.json()) == ["errorCode", "errorMessage", "sessionId"]
    assert (await app.journal())["counts"][f"POST {CREATE}"] == {str(status): 1}


@pytest.mark.parametrize("fault", ["reset", "lost-reply"])
async def test_a_connection_is_reset_instead_of_a_response(app: App, fault: str) -> None:
    await app.bench.fault(fault=fault, path=CREATE)
    with pytest.raises(aiohttp.ClientConnectionError):
        await app.create()
    assert (await app.journal())["counts"][f"POST {CREATE}"] == {"0": 1}
    assert (await app.create())[0] == (400 if fault == "lost-reply" else 201)


async def test_a_lost_reply_to_a_refused_request_is_not_lost(app: App) -> None:
    await app.bench.fault(fault="lost-reply", path=CREATE)
    assert (await app.create(x_signature="0" * 64))[0] == 400


@pytest.mark.parametrize("processed", [False, True])
async def test_a_payment_may_have_been_created_before_the_error(app: App, processed: bool) -> None:
    await app.bench.fault(fault="status", status=502, path=CREATE, processed=processed)
    assert (await app.create())[0] == 502
    assert (await app.create())[0] == (400 if processed else 201)


async def test_a_slow_path_takes_time_on_the_sandboxs_clock(app: App) -> None:
    await app.bench.fault(fault="slow", latency_s=3, path=CREATE)
    before = app.bench.clock.now
    assert (await app.create())[0] == 201
    assert app.bench.clock.now == before + 3


async def test_a_hanging_path_never_responds(app: App) -> None:
    await app.bench.fault(fault="hang", path=CREATE, processed=True)
    hanging = asyncio.create_task(app.create())
    async with asyncio.timeout(HANG_S):
        while app.bench.sandbox.state.payments.count == 0:
            await app.journal()
        assert not hanging.done()
        assert (await app.journal())["counts"][f"POST {CREATE}"] == {"0": 1}
        await app.bench.sandbox.stop()
        with pytest.raises(aiohttp.ClientConnectionError):
            await hanging


@pytest.mark.parametrize(
    ("fault", "text"),
    [("html", "<html>"), ("empty", ""), ("malformed-json", '{"role"'), ("not-object", '["'), ("huge", '{"padding"')],
)
async def test_a_path_can_answer_what_makes_no_sense(app: App, fault: str, text: str) -> None:
    await app.bench.fault(fault=fault, path=METHODS)
    async with app.bench.session.get(app.bench.url + METHODS) as response:
        assert (response.status, await response.content.read(len(text))) == (200, text.encode())


async def test_a_path_can_answer_half_of_its_body(app: App) -> None:
    await app.bench.fault(fault="truncated", path=METHODS)
    async with app.bench.session.get(app.bench.url + METHODS, headers=app.headers()) as response:
        assert await response.text() == '{"items"'[: len('{"items": []}') // 2]


async def test_a_response_can_be_cut_off(app: App) -> None:
    """Its head promises the whole body."""
    await app.bench.fault(fault="cut-off", path=CREATE)
    body = json.dumps(payment()).encode()
    headers = app.headers(body, content_type=PAYMENT_TYPE)
    async with app.bench.session.post(app.bench.url + CREATE, headers=headers, data=body) as response:
        assert response.status == 201
        with pytest.raises(aiohttp.ClientPayloadError):
            await response.read()
    assert (await app.journal())["counts"][f"POST {CREATE}"] == {"201": 1}


async def test_a_path_can_redirect(app: App) -> None:
    await app.bench.fault(fault="redirect", path=METHODS)
    async with app.bench.session.get(app.bench.url + METHODS, allow_redirects=False) as response:
        assert response.status == 307


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "missing-token", "path": CREATE},
        {"fault": "same-token", "path": "*"},
        {"fault": "reset", "path": CREATE, "operation": "grant"},
        {"fault": "reset", "method": "POST"},
        {"fault": "status", "status": 99},
        {"fault": "status", "status": 600},
    ],
)
async def test_a_fault_that_cannot_be_is_refused_with_the_reason(bench: Bench, fault: dict[str, object]) -> None:
    async with bench.session.post(bench.url + "/_sandbox/faults", json=fault) as response:
        assert (response.status, len(await response.text()) > 10) == (400, True)


async def test_the_checkout_page_can_fail_too(app: App) -> None:
    await app.bench.fault(fault="status", status=500, path="/checkout")
    assert (await app.bench.request("GET", "/checkout"))[0] == 500
