"""The sandbox returns the documented responses, and rejects what the partner would reject."""

from __future__ import annotations

import asyncio
import base64
import gc
import json
import socket
from dataclasses import replace

import pytest

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.core.model import Budget, token_id_of
from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from sidecar.sandbox import Sandbox
from tests.support.canary_call import always
from tests.support.hand_clock import HandClock
from tests.support.replica import PATIENT_S
from tests.support.sandbox_bench import BASIC, CONFIG, CREDENTIALS, PAY1ST, Bench

# As documented


async def test_a_grant_returns_two_opaque_tokens_of_the_documented_form(bench: Bench) -> None:
    token = await bench.grant()
    access = token.access.reveal().removeprefix("canary-")
    assert (len(access), len(base64.b64decode(access)), token.lifetime_s) == (684, 512, None)
    assert await bench.probe(token) == 200


async def test_a_refresh_token_is_valid_once_and_returns_two_new_ones(bench: Bench) -> None:
    first = await bench.grant()
    second = await bench.refresh(first)
    assert second.access != first.access
    with pytest.raises(PartnerError) as caught:
        await bench.refresh(first)
    assert caught.value.kind is FailureKind.UNAUTHORIZED
    assert (await bench.refresh(second)).refresh != second.refresh


async def test_both_apis_are_served_with_an_account_each(bench: Bench) -> None:
    client = PartnerClient(PRESETS["flow1st"], bench.url, 5, bench.session, bench.clock)
    token = await client.grant(CREDENTIALS, "API_USER", always)
    assert await bench.probe(token) == 401
    headers = {"AccessToken": f"Bearer {token.access.reveal()}"}
    assert (await bench.request("GET", "/api/distributors/products", headers=headers))[0] == 200


async def test_a_token_ends_with_its_lifetime(bench: Bench) -> None:
    token = await bench.grant()
    bench.clock.now += 899
    assert await bench.probe(token) == 200
    bench.clock.now += 1
    assert await bench.probe(token) == 401


@pytest.mark.parametrize("header", [None, "", "Bearer", "Bearer unknown", "Basic {access}", "{access}"])
async def test_the_probe_accepts_only_a_live_bearer_token(bench: Bench, header: str | None) -> None:
    access = (await bench.grant()).access.reveal()
    headers = {} if header is None else {"AccessToken": header.format(access=access)}
    assert (await bench.request("GET", PAY1ST.probe_path, headers=headers))[0] == 401


TYPE = {"Content-Type": PAY1ST.content_type}
GRANT_HEAD = {**TYPE, "Authorization": f"Basic {BASIC}"}
REFRESH_HEAD = {**TYPE, "Accept": PAY1ST.content_type}
WRONG_BASIC = base64.b64encode(b"sandbox-key:wrong").decode()


@pytest.mark.parametrize(
    ("method", "headers", "body", "status"),
    [
        ("POST", GRANT_HEAD, '{"role": "API_USER"}', 200),
        ("GET", GRANT_HEAD, "", 405),
        ("PUT", GRANT_HEAD, '{"role": "API_USER"}', 405),
        ("POST", {**GRANT_HEAD, "Content-Type": "application/json"}, '{"role": "API_USER"}', 405),
        ("POST", {**GRANT_HEAD, "Content-Type": PAY1ST.content_type + ";charset=utf-8"}, '{"role": "API_USER"}', 405),
        ("POST", GRANT_HEAD, "", 400),
        ("POST", GRANT_HEAD, "role=API_USER", 400),
        ("POST", GRANT_HEAD, "[]", 400),
        ("POST", GRANT_HEAD, "[" * 60_000, 400),
        ("POST", GRANT_HEAD, "{}", 400),
        ("POST", GRANT_HEAD, '{"role": 1}', 400),
        ("POST", GRANT_HEAD, '{"role": "' + "x" * 70_000 + '"}', 400),
        ("POST", GRANT_HEAD, '{"role": "ADMIN"}', 401),
        ("POST", TYPE, '{"role": "API_USER"}', 401),
        ("POST", {**TYPE, "Authorization": f"Basic {WRONG_BASIC}"}, '{"role": "API_USER"}', 401),
        ("POST", {**TYPE, "Authorization": f"Bearer {BASIC}"}, '{"role": "API_USER"}', 401),
        ("POST", {**TYPE, "Authorization": "Basic ???"}, '{"role": "API_USER"}', 401),
    ],
)
async def test_a_grant_is_checked_exactly(
    bench: Bench, method: str, headers: dict[str, str], body: str, status: int
) -> None:
    actual, document = await bench.request(method, PAY1ST.token_path, headers=headers, data=body)
    assert actual == status
    if status != 200:
        assert sorted(document) == ["errorCode", "errorMessage", "sessionId"]


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        (REFRESH_HEAD, {"role": "API_USER", "refreshToken": "unknown"}, 401),
        (REFRESH_HEAD, {"role": "API_USER"}, 400),
        (REFRESH_HEAD, {"refreshToken": "unknown"}, 400),
        (REFRESH_HEAD, {"role": "ADMIN", "refreshToken": "unknown"}, 401),
        (TYPE, {"role": "API_USER", "refreshToken": "unknown"}, 400),
        ({**REFRESH_HEAD, "Authorization": f"Basic {BASIC}"}, {"role": "API_USER", "refreshToken": "unknown"}, 400),
    ],
)
async def test_a_refresh_is_checked_exactly(
    bench: Bench, headers: dict[str, str], body: dict[str, str], status: int
) -> None:
    actual, _ = await bench.request("POST", PAY1ST.refresh_path or "", headers=headers, data=json.dumps(body))
    assert actual == status


@pytest.mark.parametrize("path", ["/", "/api/pay1st/auth", "/_sandbox/none", "/api/distributors/auth/refresh"])
async def test_an_unknown_path_is_404_in_the_documented_form(bench: Bench, path: str) -> None:
    status, document = await bench.request("GET", path)
    assert (status, sorted(document)) == (404, ["errorCode", "errorMessage", "sessionId"])


# The rate limit


@pytest.mark.parametrize("config", [replace(CONFIG, limit=Budget(2, 60))])
async def test_beyond_the_limit_calls_get_429_until_the_window_slides(bench: Bench) -> None:
    await bench.grant()
    bench.clock.now += 20
    await bench.grant()
    error = await bench.failure()
    assert (error.kind, error.retry_after_s) == (FailureKind.THROTTLED, 40)
    bench.clock.now += 40
    await bench.grant()
    assert (await bench.failure()).retry_after_s == 20


@pytest.mark.parametrize("config", [replace(CONFIG, limit=Budget(2, 60), sliding_limit=False)])
async def test_a_fixed_window_ends_as_a_whole(bench: Bench) -> None:
    await bench.grant()
    bench.clock.now += 50
    await bench.grant()
    assert (await bench.failure()).retry_after_s == 10
    bench.clock.now += 10
    await bench.grant()
    await bench.grant()
    assert (await bench.failure()).kind is FailureKind.THROTTLED


@pytest.mark.parametrize("config", [replace(CONFIG, limit=Budget(1, 60), retry_after="none")])
async def test_retry_after_can_be_left_out(bench: Bench) -> None:
    await bench.grant()
    error = await bench.failure()
    assert (error.kind, error.retry_after_s) == (FailureKind.THROTTLED, None)


@pytest.mark.parametrize("config", [replace(CONFIG, limit=Budget(1, 3600), retry_after="date")])
async def test_retry_after_can_be_a_date(bench: Bench) -> None:
    """The raw header is read: the server's own `Date` is real time, the sandbox's clock is not."""
    await bench.grant()
    async with bench.session.post(bench.url + PAY1ST.token_path, headers=GRANT_HEAD, data=b"{}") as response:
        assert (response.status, response.headers["Retry-After"]) == (429, "Thu, 01 Jan 2026 01:00:00 GMT")


@pytest.mark.parametrize("config", [replace(CONFIG, declares_lifetime=True, token_lifetime_s=60)])
async def test_the_lifetime_can_be_declared(bench: Bench) -> None:
    began_at = bench.clock.monotonic()
    token = await bench.grant()
    assert token.lifetime_s == 60
    assert bench.sandbox.state.accounts["pay1st"].ends_at == {token_id_of(token.access): began_at + 60}


async def test_a_connection_that_comes_with_the_stop_is_closed(recwarn: pytest.WarningsRecorder) -> None:
    sandbox, loop = Sandbox(CONFIG, HandClock()), asyncio.get_running_loop()
    host, port = (await sandbox.start()).removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as client:
        # The loop accepts the connection, and continues here before it makes the transport.
        turn = loop.create_future()
        loop.call_soon(turn.set_result, None)
        await turn
        await sandbox.stop()
        client.settimeout(PATIENT_S)
        assert client.recv(1) == b""
    gc.collect()
    assert not recwarn.list
