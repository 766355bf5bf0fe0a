"""The sandbox checks signatures as the partner documents them, and as each reading of its pages would have it."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import replace
from email.utils import parsedate_to_datetime

import pytest

from sidecar.sandbox import SandboxConfig
from tests.support.sandbox_bench import CONFIG, Bench
from tests.support.sandbox_payments import CREATE, KEY, PAYMENT_TYPE, SIGNED_CONFIG, App, payment, signature, timestamp


@pytest.fixture
def config() -> SandboxConfig:
    return SIGNED_CONFIG


async def test_the_published_signature_is_accepted(app: App) -> None:
    """https://pay1st-docs.carry1st.com: the example of the page on signatures, 2025-03-17."""
    key, at = "hCyO_Flnu6aid-bhFYTYOowkxXRzoZkgzO32rB6Ik8Y", "2025-03-17T08:10:52.544247646Z"
    body = (
        '{"countryCode":"NG","currencyCode":"NGN","amount":100,"partnerReference":"4a662291-2840-4bcd-aae9-553ab24601ed",'
        '"callbackSuccessUrl":"<https://callback.success","callbackFailureUrl":"https://callback.failure",'
        '"callbackPendingUrl":"https://callback.pending","callbackCancelUrl":"https://callback.cancel",'
        '"webhookUrl":"https://webhook.success",'
        '"products":[{"title":"10> Credits","sku":"12345","price":100,"quantity":1,"currencyCode":"NGN"}],'
        '"metadata":[{"key":"customerId","value":"1"}]}'
    )
    document = {"apiKey": "k", "apiSecret": "s", "signingKey": key}
    await app.bench.request("POST", "/_sandbox/credentials", json_body=document)
    signed = "85aa0862aa052f737d3cf4d38f92091ea7c015e782d207ea18cc5641d3e47755"
    app.bench.clock.now += parsedate_to_datetime("Mon, 17 Mar 2025 08:10:52 GMT").timestamp() - app.bench.clock.wall()
    assert (await app.post(CREATE, body, x_timestamp=at, x_signature=signed))[0] == 201


@pytest.mark.parametrize(
    ("headers", "code"),
    [
        ({"x_signature": "", "x_timestamp": ""}, "SANDBOX-SIGNATURE-MISSING"),
        ({"x_signature": ""}, "SANDBOX-SIGNATURE-WRONG"),
        ({"x_timestamp": ""}, "SANDBOX-SIGNATURE-WRONG"),
        ({"x_signature": "0" * 64}, "SANDBOX-SIGNATURE-WRONG"),
        ({"x_signature": "é"}, "SANDBOX-SIGNATURE-WRONG"),
        ({"x_timestamp": "2026-01-01é00:00:00Z", "x_signature": ""}, "SANDBOX-SIGNATURE-WRONG"),
        ({"x_timestamp": "2026-01-01T00:00:00Z"}, "SANDBOX-SIGNATURE-WRONG"),
    ],
)
async def test_a_post_without_a_valid_signature_is_a_400(app: App, headers: dict[str, str], code: str) -> None:
    app.bench.clock.now += 0.5
    status, error = await app.create(late_s=0, **headers)
    assert (status, error["errorCode"]) == (400, code)
    assert sorted(error) == ["errorCode", "errorMessage", "sessionId"]


@pytest.mark.parametrize(
    "change",
    [str.upper, lambda text: text[1:], lambda text: text[:-1], lambda text: text + "0"],
    ids=["upper case", "without its first digit", "without its last digit", "longer"],
)
async def test_a_signature_is_lower_case_hex_and_whole(app: App, change: Callable[[str], str]) -> None:
    at, body = timestamp(app.bench.clock.wall()), json.dumps(payment())
    assert (await app.create(x_timestamp=at, x_signature=change(signature(at, body.encode()))))[0] == 400


async def test_a_signature_is_over_the_exact_bytes(app: App) -> None:
    at = timestamp(app.bench.clock.wall())
    spaced = json.dumps(payment(), indent=1).encode()
    assert (await app.create(x_timestamp=at, x_signature=signature(at, spaced)))[0] == 400


async def test_a_signature_is_over_the_bytes_as_they_were_sent_compressed_ones_too(app: App) -> None:
    """The body is no JSON then, but the signature holds."""
    at, body = timestamp(app.bench.clock.wall()), gzip.compress(json.dumps(payment()).encode())
    headers = app.headers(body, content_type=PAYMENT_TYPE, content_encoding="gzip", x_timestamp=at)
    async with app.bench.session.post(app.bench.url + CREATE, headers=headers, data=body) as response:
        assert (response.status, (await response.json())["errorCode"]) == (400, "SANDBOX-BAD-REQUEST")
    assert (await app.journal())["requests"][-1]["signature"] == "valid"


@pytest.mark.parametrize("key", ["", "another-key", KEY.upper()])
async def test_a_signature_is_made_with_the_signing_key(app: App, key: str) -> None:
    at, body = timestamp(app.bench.clock.wall()), json.dumps(payment()).encode()
    assert (await app.create(x_timestamp=at, x_signature=signature(at, body, key)))[0] == 400


@pytest.mark.parametrize(("name", "status"), [("x-signature", 400), ("x-timestamp", 400), ("accesstoken", 401)])
async def test_a_repeated_header_is_none(app: App, name: str, status: int) -> None:
    body = json.dumps(payment()).encode()
    headers = app.headers(body, content_type=PAYMENT_TYPE)
    repeated = [*headers.items(), (name, headers[name])]
    async with app.bench.session.post(app.bench.url + CREATE, headers=repeated, data=body) as response:
        assert response.status == status


@pytest.mark.parametrize(("late_s", "status"), [(0, 201), (300, 201), (301, 400), (-300, 201), (-301, 400)])
async def test_a_timestamp_is_within_five_minutes_of_the_request(app: App, late_s: float, status: int) -> None:
    actual, document = await app.create(late_s=late_s)
    assert actual == status
    if status == 400:
        assert document["errorCode"] == "SANDBOX-TIMESTAMP"


@pytest.mark.parametrize("config", [replace(SIGNED_CONFIG, timestamp_tolerance_s=10)])
async def test_the_tolerance_can_be_set(app: App) -> None:
    assert [(await app.create(str(late_s), late_s=late_s))[0] for late_s in (10, 11)] == [201, 400]


@pytest.mark.parametrize("config", [replace(SIGNED_CONFIG, timestamp_of="token")])
async def test_the_timestamp_can_be_held_to_the_tokens_issue(app: App) -> None:
    """A token older than five minutes signs nothing then, except with a timestamp from its youth."""
    app.bench.clock.now += 300
    assert (await app.create("1"))[0] == 201
    app.bench.clock.now += 1
    assert (await app.create("2"))[0] == 400
    assert (await app.create("3", late_s=301))[0] == 201
    younger = await App.of(app.bench)
    assert (await younger.create("4"))[0] == 201


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("2026-01-01T00:00:00Z", 201),
        ("2026-01-01T00:00:00.123456789Z", 201),
        ("2026-01-01T02:00:00+02:00", 201),
        ("2026-01-01T00:00:00", 400),
        ("2026-01-01", 400),
        ("1767225600", 400),
        ("Thu, 01 Jan 2026 00:00:00 GMT", 400),
    ],
)
async def test_a_timestamp_is_iso_8601_with_a_time_zone(app: App, text: str, status: int) -> None:
    body = json.dumps(payment()).encode()
    assert (await app.create(x_timestamp=text, x_signature=signature(text, body)))[0] == status


# Which requests must be signed

METHODS = "/api/pay1st/payments/methods"


async def unsigned(app: App) -> tuple[int, int]:
    post = await app.create(x_signature="", x_timestamp="")
    return post[0], (await app.get(METHODS))[0]


@pytest.mark.parametrize(
    ("config", "statuses"),
    [
        (SIGNED_CONFIG, (400, 200)),
        (replace(SIGNED_CONFIG, signed_requests="all"), (400, 400)),
        (replace(SIGNED_CONFIG, signed_requests="none"), (201, 200)),
        (CONFIG, (201, 200)),
    ],
    ids=["posts", "all", "none", "no signing key"],
)
async def test_which_requests_must_be_signed_can_be_set(app: App, statuses: tuple[int, int]) -> None:
    assert await unsigned(app) == statuses


@pytest.mark.parametrize("config", [replace(SIGNED_CONFIG, signed_requests="all")])
async def test_a_get_is_signed_over_the_timestamp_alone(app: App) -> None:
    at = timestamp(app.bench.clock.wall())
    assert (await app.get(METHODS, **{"X-TIMESTAMP": at, "X-SIGNATURE": signature(at, b"")}))[0] == 200
    assert (await app.get(METHODS, **{"X-TIMESTAMP": at, "X-SIGNATURE": signature(at, b"{}")}))[0] == 400


# The partner's clock


async def date(bench: Bench) -> str | None:
    async with bench.session.get(bench.url + "/") as response:
        return response.headers.get("Date")


async def test_the_date_is_the_sandboxs(bench: Bench) -> None:
    assert await date(bench) == "Thu, 01 Jan 2026 00:00:00 GMT"


@pytest.mark.parametrize("config", [replace(SIGNED_CONFIG, clock_offset_s=600)])
async def test_the_partners_clock_can_be_ahead_for_dates_and_timestamps(app: App) -> None:
    assert await date(app.bench) == "Thu, 01 Jan 2026 00:10:00 GMT"
    assert [(await app.create(str(late_s), late_s=late_s))[0] for late_s in (0, -600)] == [400, 201]


@pytest.mark.parametrize("config", [replace(SIGNED_CONFIG, clock_offset_s=-600, timestamp_of="token")])
async def test_the_partners_clock_can_be_behind_where_the_tokens_issue_counts(app: App) -> None:
    assert await date(app.bench) == "Wed, 31 Dec 2025 23:50:00 GMT"
    assert [(await app.create(str(late_s), late_s=late_s))[0] for late_s in (0, 600)] == [400, 201]


@pytest.mark.parametrize("config", [replace(SIGNED_CONFIG, sends_date=False)])
async def test_the_date_can_be_left_out(bench: Bench) -> None:
    assert await date(bench) is None


async def test_a_signing_key_can_be_replaced(app: App) -> None:
    document = {"apiKey": "k", "apiSecret": "s", "signingKey": "another-key"}
    await app.bench.request("POST", "/_sandbox/credentials", json_body=document)
    assert (await app.create())[0] == 400
    at, body = timestamp(app.bench.clock.wall()), json.dumps(payment()).encode()
    assert (await app.create(x_timestamp=at, x_signature=signature(at, body, "another-key")))[0] == 201


async def test_rotated_credentials_keep_the_signing_key(app: App) -> None:
    await app.bench.request("POST", "/_sandbox/credentials", json_body={"apiKey": "k", "apiSecret": "s"})
    assert (await app.create())[0] == 201
