"""What arrived at a sandbox, and that no secret is in the journal."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from dataclasses import replace
from typing import Any
from urllib.parse import quote

import pytest

from sidecar.core.model import Secret
from sidecar.sandbox import SandboxConfig
from sidecar.sandbox.journal import KEPT_ARRIVALS, Arrival, Journal
from tests.support.canary_call import always
from tests.support.replica import HANG_S
from tests.support.sandbox_bench import BASIC, CONFIG, CREDENTIALS, PAY1ST
from tests.support.sandbox_payments import CREATE, KEY, REFUND_TYPE, REFUNDS, SIGNED_CONFIG, App

METHODS = "/api/pay1st/payments/methods"


@pytest.fixture
def config() -> SandboxConfig:
    return SIGNED_CONFIG


async def test_the_journal_says_what_arrived_and_how_often(app: App) -> None:
    await app.create("order-1")
    await app.create("order-1")
    await app.get(METHODS + "?countryCode=NG")
    await app.bench.request("GET", "/elsewhere")
    shown = await app.journal()
    assert shown["counts"] == {
        f"POST {PAY1ST.token_path}": {"200": 1},
        f"POST {CREATE}": {"201": 1, "400": 1},
        f"GET {METHODS}": {"200": 1},
        "(other)": {"404": 1},
    }
    assert [
        (each["method"], each["path"], each["status"], each["partnerReference"], each["signature"])
        for each in shown["requests"]
    ] == [
        ("POST", PAY1ST.token_path, 200, None, None),
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
    await app.bench.client.refresh(Secret(refresh.refresh), CREDENTIALS, "API_USER", always)
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
