"""The sandbox's payments, refunds and checkout page, as the partner documents them."""

from __future__ import annotations

from urllib.parse import quote

import pytest

from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from sidecar.sandbox import SandboxConfig
from tests.support.canary_call import always
from tests.support.sandbox_bench import CREDENTIALS, Bench
from tests.support.sandbox_payments import (
    CREATE,
    FULFILMENTS,
    PAYMENT_TYPE,
    REFUND_TYPE,
    REFUNDS,
    SIGNED_CONFIG,
    App,
    payment,
)

ERROR = ["errorCode", "errorMessage", "sessionId"]


@pytest.fixture
def config() -> SandboxConfig:
    return SIGNED_CONFIG


async def test_a_payment_is_created_and_found_by_the_partners_reference(app: App) -> None:
    status, created = await app.create()
    assert (status, created["partnerReference"], created["status"]) == (201, "order-1", "NEW")
    assert created["reference"].startswith("C-")
    assert created["reference"].endswith("-P")
    assert created["reference"][2:-2].isdigit()
    assert await app.get(f"/api/pay1st/payments?reference={created['reference']}") == (200, created)


async def test_a_partner_reference_is_used_once(app: App) -> None:
    await app.create()
    status, error = await app.create()
    assert (status, error["errorCode"], sorted(error)) == (400, "SANDBOX-DUPLICATE-REFERENCE", ERROR)
    assert (await app.create("order-2"))[0] == 201


async def test_a_payment_is_not_found_by_our_own_reference(app: App) -> None:
    await app.create()
    assert (await app.get("/api/pay1st/payments?partnerReference=order-1"))[0] == 400
    assert (await app.get("/api/pay1st/payments?reference=order-1"))[0] == 404


@pytest.mark.parametrize(
    "body",
    [
        "",
        "{",
        "[]",
        '{"amount": 1}',
        '{"countryCode": "NG", "currencyCode": "NGN", "amount": 100, "partnerReference": ""}',
        '{"countryCode": "NG", "currencyCode": "NGN", "amount": 0, "partnerReference": "1"}',
        '{"countryCode": "NG", "currencyCode": "NGN", "amount": 1e999, "partnerReference": "1"}',
        '{"countryCode": "NG", "currencyCode": "NGN", "amount": "100", "partnerReference": "1"}',
        '{"countryCode": "NG", "currencyCode": "NGN", "amount": NaN, "partnerReference": "1"}',
    ],
)
async def test_a_payment_without_its_mandatory_fields_is_a_400(app: App, body: str) -> None:
    status, error = await app.post(CREATE, body)
    assert (status, sorted(error)) == (400, ERROR)


async def test_other_fields_of_a_payment_are_accepted(app: App) -> None:
    products = [{"title": "10 Credits", "sku": "1", "price": 100, "quantity": 1, "currencyCode": "NGN"}]
    assert (await app.post(CREATE, payment(products=products, metadata=[{"key": "k", "value": "1"}])))[0] == 201


@pytest.mark.parametrize(
    ("path", "content_type"),
    [
        (CREATE, PAYMENT_TYPE),
        (FULFILMENTS, PAYMENT_TYPE),
        (REFUNDS, REFUND_TYPE),
    ],
)
async def test_each_post_has_one_content_type_and_one_method(app: App, path: str, content_type: str) -> None:
    wrong = {"application/json", f"{content_type};charset=utf-8", PAYMENT_TYPE, REFUND_TYPE} - {content_type}
    for sent in wrong:
        assert (await app.post(path, payment(), sent))[0] == 405
    assert (await app.get(path))[0] == 405
    assert (await app.post(path, payment(), content_type))[0] != 405


@pytest.mark.parametrize("path", ["/api/pay1st/payments", "/api/pay1st/payments/methods", "/api/distributors/products"])
async def test_a_path_that_is_read_takes_no_post(app: App, path: str) -> None:
    status, error = await app.post(path, {})
    assert (status, sorted(error)) == (405, ERROR)


@pytest.mark.parametrize("path", [CREATE, FULFILMENTS, REFUNDS])
@pytest.mark.parametrize("token", ["", "Bearer", "Bearer unknown", "bearer {access}", "{access}", "Basic {access}"])
async def test_a_post_needs_a_live_token(app: App, path: str, token: str) -> None:
    content_type = REFUND_TYPE if path == REFUNDS else PAYMENT_TYPE
    status, error = await app.post(path, payment(), content_type, accesstoken=token.format(access=app.access))
    assert (status, sorted(error)) == (401, ERROR)


async def test_a_token_in_authorization_is_no_token(app: App) -> None:
    assert (await app.create(accesstoken="", authorization=f"Bearer {app.access}"))[0] == 401


async def test_a_token_of_the_other_api_is_not_accepted(bench: Bench) -> None:
    client = PartnerClient(PRESETS["flow1st"], bench.url, 5, bench.session, bench.clock)
    app = App(bench, (await client.grant(CREDENTIALS, "API_USER", always)).access.reveal())
    assert (await app.create())[0] == 401
    assert await app.get("/api/distributors/products") == (200, {"items": []})


async def test_the_methods_need_a_token_only(app: App) -> None:
    assert await app.get("/api/pay1st/payments/methods?countryCode=NG") == (200, {"items": []})


async def test_a_fulfilment_has_an_empty_answer(app: App) -> None:
    reference = (await app.create())[1]["reference"]
    products = [{"sku": "1", "fulfilmentStatus": "FULFILLED", "quantity": 1}]
    assert await app.post(FULFILMENTS, {"reference": reference, "products": products}) == (200, {})
    assert (await app.post(FULFILMENTS, {"reference": "C-0-P", "products": products}))[0] == 404
    assert (await app.post(FULFILMENTS, {"reference": reference, "products": []}))[0] == 400


async def test_a_refund_without_an_amount_is_a_full_one(app: App) -> None:
    _, created = await app.create()
    transaction = created["transactionReference"]
    assert transaction == created["reference"][:-1] + "T"
    status, refund = await app.post(REFUNDS, {"transactionReference": transaction}, REFUND_TYPE)
    assert (status, refund["amount"], refund["status"]) == (201, 100, "PENDING")
    _, shown = await app.get(f"/api/pay1st/payments?reference={created['reference']}")
    assert shown["refundedAmount"] == 100
    assert (await app.post(REFUNDS, {"transactionReference": transaction}, REFUND_TYPE))[0] == 400


async def test_refunds_end_at_the_payments_amount(app: App) -> None:
    _, created = await app.post(CREATE, payment(amount=0.3))

    async def refund(**more: object) -> int:
        document = {"transactionReference": created["transactionReference"], **more}
        return (await app.post(REFUNDS, document, REFUND_TYPE))[0]

    assert [await refund(amount=each) for each in (0.1, 0.4, 0.2, 0.1)] == [201, 400, 201, 400]
    assert await refund(amount=-1) == 400


async def test_a_refund_is_of_a_transaction_not_of_a_payment(app: App) -> None:
    _, created = await app.create()
    for reference in (created["reference"], created["reference"][:-1], created["reference"][:-2], "T"):
        assert (await app.post(REFUNDS, {"transactionReference": reference}, REFUND_TYPE))[0] == 400


async def test_the_control_path_decides_what_becomes_of_a_payment(app: App) -> None:
    reference = (await app.create())[1]["reference"]
    body = {"reference": reference, "status": "SUCCESSFUL"}
    assert (await app.bench.request("POST", "/_sandbox/payments", json_body=body))[0] == 204
    assert (await app.get(f"/api/pay1st/payments?reference={reference}"))[1]["status"] == "SUCCESSFUL"


@pytest.mark.parametrize("body", [{"reference": "C-0-P", "status": "FAILED"}, {"reference": "C-0-P", "status": "PAID"}])
async def test_an_unknown_payment_or_status_is_refused_by_the_control_path(bench: Bench, body: object) -> None:
    async with bench.session.post(bench.url + "/_sandbox/payments", json=body) as response:
        assert response.status == 400


# The checkout page


async def checkout(app: App, reference: str, access: str, channel: str = "") -> tuple[int, str]:
    url = f"{app.bench.url}/checkout?{channel}reference={reference}&accessToken={quote(access, safe='')}"
    async with app.bench.session.get(url) as response:
        assert response.headers["Content-Type"].startswith("text/html")
        assert response.headers["Referrer-Policy"] == "no-referrer"
        return response.status, await response.text()


@pytest.mark.parametrize("channel", ["", "channelId=1&"])
async def test_the_checkout_page_says_whether_its_token_would_still_be_accepted(app: App, channel: str) -> None:
    reference = (await app.create())[1]["reference"]
    status, text = await checkout(app, reference, app.access, channel)
    assert (status, "is accepted" in text, reference in text) == (200, True, True)
    await app.bench.request("POST", "/_sandbox/revoke")
    status, text = await checkout(app, reference, app.access, channel)
    assert (status, "is not accepted" in text) == (401, True)
    assert "canary-" not in text


async def test_the_checkout_page_is_of_one_payment(app: App) -> None:
    assert (await checkout(app, "C-0-P", app.access))[0] == 404
    assert (await checkout(app, "", app.access))[0] == 400
    assert (await checkout(app, "C-0-P", ""))[0] == 400
    assert (await app.bench.request("POST", "/checkout"))[0] == 405


async def test_the_checkout_page_shows_text_of_a_payment_as_text(app: App) -> None:
    _, created = await app.post(CREATE, payment(currencyCode="<script>"))
    assert "<script>" not in (await checkout(app, created["reference"], app.access))[1]


async def test_a_reset_forgets_payments(app: App) -> None:
    await app.create()
    await app.bench.request("POST", "/_sandbox/reset")
    again = await App.of(app.bench)
    assert (await again.create())[0] == 201
