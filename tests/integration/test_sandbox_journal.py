"""What arrived at a sandbox, faults of single paths, and that no secret is in the journal."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from sidecar.core.model import Secret
from sidecar.sandbox import SandboxConfig
from sidecar.sandbox.journal import KEPT_ARRIVALS, Arrival, Journal
from tests.support.canary_call import always
from tests.support.replica import HANG_S
from tests.support.sandbox_bench import BASIC, CONFIG, PAY1ST, Bench
from tests.support.sandbox_payments import CREATE, KEY, PAYMENT_TYPE, REFUND_TYPE, REFUNDS, App, payment

METHODS = "/api/pay1st/payments/methods"


@pytest.fixture
def config() -> SandboxConfig:
    return replace(CONFIG, signing_key=Secret(KEY))


@pytest.fixture
async def app(bench: Bench) -> App:
    return await App.of(bench)


async def test_the_journal_says_what_arrived_and_how_often(app: App) -> None:
    await app.create("order-1")
    await app.create("order-1")
    await app.get(METHODS + "?countryCode=NG")
    await app.bench.request("GET", "/elsewhere")
    shown = await app.journal()
    assert shown["counts"] == {
        f"POST {PAY1ST.grant_path}": {"200": 1},
        f"POST {CREATE}": {"201": 1, "400": 1},
        f"GET {METHODS}": {"200": 1},
        "(other)": {"404": 1},
    }
    assert [
        (each["method"], each["path"], each["status"], each["partnerReference"], each["signature"])
        for each in shown["requests"]
    ] == [
        ("POST", PAY1ST.grant_path, 200, None, None),
        ("POST", CREATE, 201, "order-1", "valid"),
        ("POST", CREATE, 400, "order-1", "valid"),
        ("GET", METHODS, 200, None, "missing"),
        ("GET", "/elsewhere", 404, None, "missing"),
    ]
    assert all(each["whole"] and each["at"] == app.bench.clock.wall() for each in shown["requests"])


@pytest.mark.parametrize(
    ("late_s", "headers", "signature"),
    [
        (0, {}, "valid"),
        (301, {}, "stale"),
        (0, {"x_signature": "0" * 64}, "wrong"),
        (0, {"x_signature": "", "x_timestamp": ""}, "missing"),
    ],
)
async def test_the_journal_says_whether_the_signature_held(
    app: App, late_s: float, headers: dict[str, str], signature: str
) -> None:
    await app.create(late_s=late_s, **headers)
    assert (await app.journal())["requests"][-1]["signature"] == signature


@pytest.mark.parametrize("config", [CONFIG])
async def test_without_a_signing_key_no_signature_is_checked(app: App) -> None:
    await app.create()
    assert (await app.journal())["requests"][-1]["signature"] == "unchecked"


@pytest.mark.parametrize("config", [replace(CONFIG, signing_key=Secret(KEY), signed_requests="none")])
async def test_a_signature_that_is_not_needed_is_recorded_too(app: App) -> None:
    await app.create("1", x_signature="0" * 64)
    await app.create("2")
    requests = (await app.journal())["requests"][1:]
    assert [(each["status"], each["signature"]) for each in requests] == [(201, "wrong"), (201, "valid")]


async def test_a_refund_is_recorded_by_its_own_reference(app: App) -> None:
    await app.post(REFUNDS, {"transactionReference": "C-1-T", "partnerRefundReference": "refund-1"}, REFUND_TYPE)
    assert (await app.journal())["requests"][-1]["partnerReference"] == "refund-1"


@pytest.mark.parametrize(
    ("sent", "shown", "counted"),
    [
        ("/api/pay1st/payments/method%73", METHODS, f"GET {METHODS}"),
        ("/api/pay1st/payments%2Fmethods", "/api/pay1st/payments%2Fmethods", "(other)"),
        ("/api/pay1st/../pay1st/payments/methods", "/api/pay1st/../pay1st/payments/methods", "(other)"),
        ("//api/pay1st/payments/methods", "//api/pay1st/payments/methods", "(other)"),
    ],
)
async def test_a_path_is_shown_as_it_is_routed(app: App, sent: str, shown: str, counted: str) -> None:
    host, _, port = app.bench.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"GET {sent} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
    await reader.read()
    writer.close()
    await writer.wait_closed()
    journal = await app.journal()
    assert (journal["requests"][-1]["path"], counted in journal["counts"]) == (shown, True)


async def test_reset_empties_the_journal(app: App) -> None:
    await app.bench.request("POST", "/_sandbox/reset")
    assert await app.journal() == {"counts": {}, "requests": []}


async def test_a_body_that_is_cut_short_is_recorded_as_not_whole(app: App, caplog: pytest.LogCaptureFixture) -> None:
    host, _, port = app.bench.url.removeprefix("http://").partition(":")
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(f"POST {CREATE} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 10\r\n\r\n12345".encode())
    async with asyncio.timeout(HANG_S):
        while len((shown := await app.journal())["requests"]) == 1:
            pass
    writer.close()
    await writer.wait_closed()
    (cut,) = shown["requests"][1:]
    assert (cut["path"], cut["whole"], cut["status"]) == (CREATE, False, 0)
    assert (await app.journal())["counts"][f"POST {CREATE}"] == {"0": 1}
    await app.bench.sandbox.stop()
    assert "sandbox request failed" not in caplog.text


async def test_a_body_beyond_the_limit_is_an_error(app: App) -> None:
    body = io.BytesIO(b"x" * 3_000_000)
    async with app.bench.session.post(app.bench.url + CREATE, data=body) as response:
        assert response.status == 413
        assert sorted(await response.json()) == ["errorCode", "errorMessage", "sessionId"]


def test_the_journal_keeps_the_last_requests_and_counts_all() -> None:
    journal = Journal()
    for number in range(KEPT_ARRIVALS + 5):
        arrival = Arrival(at=number, method="GET", path="/p", known_path=True)
        journal.add(arrival)
        journal.answered(arrival, 200)
    shown: Any = journal.shown()
    assert (shown["counts"], len(shown["requests"]), shown["requests"][0]["at"]) == (
        {"GET /p": {200: KEPT_ARRIVALS + 5}},
        KEPT_ARRIVALS,
        5,
    )


def test_unknown_paths_are_counted_as_one() -> None:
    journal = Journal()
    for number in range(3):
        journal.add(Arrival(at=0, method="GET", path=f"/{number}", known_path=False))
    assert journal.shown()["counts"] == {"(other)": {0: 3}}


async def test_the_journal_holds_no_secret(app: App) -> None:
    """Neither where secrets belong nor where a confused app may put them."""
    refresh = app.bench.sandbox.state.accounts["pay1st"].last
    assert refresh is not None
    secrets = [app.access, refresh.refresh, KEY, "sandbox-key", "sandbox-sécret", BASIC]
    await app.create()
    await app.bench.client.refresh(Secret(refresh.refresh), "API_USER", always)
    await app.bench.session.get(f"{app.bench.url}/checkout?reference=1&accessToken={quote(app.access, safe='')}")
    for secret in secrets:
        await app.create(secret)
        await app.post(REFUNDS, {"transactionReference": "1", "partnerRefundReference": secret}, REFUND_TYPE)
        await app.get(f"/checkout/{quote(secret, safe='')}")
        await app.get(f"/{quote(secret)}?{quote(secret)}={quote(secret)}")
        await app.get(f"/{quote(quote(secret, safe=''), safe='')}")
    text = json.dumps(await app.journal(), ensure_ascii=False)
    for secret in [*secrets, quote(app.access, safe=""), base64.b64encode(app.access.encode()).decode()]:
        assert secret not in text
        assert secret[:60] not in text or len(secret) < 60
    assert "canary-" not in text
    assert text.count("***") >= 3 * len(secrets)


# Faults of one path


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
    await bench.fault(fault="status", status=500, path=PAY1ST.grant_path)
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
