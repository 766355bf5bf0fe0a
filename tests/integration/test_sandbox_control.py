"""The sandbox's control path, its faults, and its start and stop."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
from dataclasses import replace

import aiohttp
import pytest

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.core.model import Credentials, Secret
from sidecar.partner.client import PartnerClient
from sidecar.partner.transport import open_session
from sidecar.sandbox import Sandbox
from tests.support.canary_call import always
from tests.support.hand_clock import HandClock
from tests.support.replica import HANG_S
from tests.support.sandbox_bench import CONFIG, CREDENTIALS, PAY1ST, Bench

# The control path


async def test_the_stats_count_each_call_by_operation_and_status(bench: Bench) -> None:
    token = await bench.grant()
    await bench.refresh(token)
    await bench.fault(fault="status", status=503)
    await bench.failure()
    await bench.probe(token)
    _, stats = await bench.request("GET", "/_sandbox/stats")
    assert stats["counts"] == {"grant": {"200": 1, "503": 1}, "refresh": {"200": 1}, "probe": {"200": 1}}
    assert [(call["operation"], call["status"]) for call in stats["calls"]] == [
        ("grant", 200),
        ("refresh", 200),
        ("grant", 503),
    ]
    assert stats["calls"][0]["at"] == bench.clock.wall()
    assert stats["live_tokens"] == {"pay1st": 2, "flow1st": 0}
    assert "canary" not in json.dumps(stats)


async def test_revoke_ends_every_token(bench: Bench) -> None:
    token = await bench.grant()
    await bench.request("POST", "/_sandbox/revoke")
    assert await bench.probe(token) == 401
    with pytest.raises(PartnerError):
        await bench.refresh(token)


@pytest.mark.parametrize("config", [replace(CONFIG, revoke_previous=True)])
async def test_a_new_token_can_revoke_the_previous_one(bench: Bench) -> None:
    first, second = await bench.grant(), await bench.grant()
    assert (await bench.probe(first), await bench.probe(second)) == (401, 200)


async def test_rotated_credentials_are_the_only_ones_accepted(bench: Bench) -> None:
    await bench.request("POST", "/_sandbox/credentials", json_body={"apiKey": "k2", "apiSecret": "s2"})
    assert (await bench.failure()).kind is FailureKind.UNAUTHORIZED
    rotated = Credentials(api_key=Secret("k2"), api_secret=Secret("s2"))
    await bench.client.grant(rotated, "API_USER", always)


async def test_reset_restores_the_configured_state(bench: Bench) -> None:
    token = await bench.grant()
    await bench.fault(fault="status", count=0)
    await bench.request("POST", "/_sandbox/credentials", json_body={"apiKey": "k2", "apiSecret": "s2"})
    await bench.request("POST", "/_sandbox/reset")
    assert await bench.probe(token) == 401
    await bench.grant()
    assert bench.sandbox.state.journal.stats()["counts"] == {"grant": {200: 1}, "refresh": {}, "probe": {401: 1}}


@pytest.mark.parametrize("body", ["", "{}", '{"fault": "none"}', '{"fault": "empty", "cuont": 1}', '{"fault": 1}'])
async def test_an_unknown_fault_is_rejected_with_the_reason(bench: Bench, body: str) -> None:
    async with bench.session.post(bench.url + "/_sandbox/faults", data=body.encode()) as response:
        assert (response.status, len(await response.text()) > 10) == (400, True)


# Faults


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ({"fault": "status", "status": 500}, FailureKind.SERVER_ERROR),
        ({"fault": "status", "status": 403}, FailureKind.UNAUTHORIZED),
        ({"fault": "status", "status": 429}, FailureKind.THROTTLED),
        ({"fault": "html"}, FailureKind.MALFORMED),
        ({"fault": "empty"}, FailureKind.MALFORMED),
        ({"fault": "truncated"}, FailureKind.MALFORMED),
        ({"fault": "malformed-json"}, FailureKind.MALFORMED),
        ({"fault": "not-object"}, FailureKind.MALFORMED),
        ({"fault": "missing-token"}, FailureKind.MALFORMED),
        ({"fault": "wrong-role"}, FailureKind.MALFORMED),
        ({"fault": "huge"}, FailureKind.MALFORMED),
        ({"fault": "redirect"}, FailureKind.MALFORMED),
        ({"fault": "reset"}, FailureKind.CONNECT),
        ({"fault": "lost-reply"}, FailureKind.CONNECT),
        ({"fault": "cut-off"}, FailureKind.MALFORMED),
    ],
    ids=lambda value: value["fault"] if isinstance(value, dict) else value,
)
async def test_each_fault_applies_to_as_many_calls_as_requested(
    bench: Bench, fault: dict[str, object], kind: FailureKind
) -> None:
    await bench.fault(**fault, count=2)
    assert [(await bench.failure()).kind for _ in range(2)] == [kind, kind]
    await bench.grant()


async def test_the_status_fault_can_have_a_retry_after(bench: Bench) -> None:
    await bench.fault(fault="status", status=429, retry_after="11")
    assert (await bench.failure()).retry_after_s == 11


async def test_a_fault_for_refreshes_does_not_apply_to_grants(bench: Bench) -> None:
    await bench.fault(fault="status", status=401, operation="refresh")
    token = await bench.grant()
    with pytest.raises(PartnerError):
        await bench.refresh(token)
    await bench.refresh(token)


async def test_a_lost_reply_has_issued_a_token(bench: Bench) -> None:
    await bench.fault(fault="lost-reply")
    await bench.failure()
    assert bench.sandbox.state.accounts["pay1st"].live_tokens() == 1
    assert bench.sandbox.state.journal.calls[0].status == 0


async def test_the_same_token_can_be_returned_again(bench: Bench) -> None:
    first = await bench.grant()
    await bench.fault(fault="same-token")
    assert (await bench.grant()).access == first.access


async def test_extra_fields_can_declare_a_lifetime(bench: Bench) -> None:
    await bench.fault(fault="extra-fields", extra={"expiresIn": 60})
    assert (await bench.grant()).lifetime_s == 60


async def test_a_slow_call_takes_time_on_the_sandboxs_clock(bench: Bench) -> None:
    await bench.fault(fault="slow", latency_s=3)
    before = bench.clock.now
    await bench.grant()
    assert bench.clock.now == before + 3


async def test_a_hanging_call_is_counted_without_a_status(bench: Bench) -> None:
    await bench.fault(fault="hang")
    client = PartnerClient(PAY1ST, bench.url, 1, bench.session, bench.clock)
    with pytest.raises(PartnerError) as caught:
        await client.grant(CREDENTIALS, "API_USER", always)
    assert caught.value.kind is FailureKind.TIMEOUT
    assert bench.sandbox.state.journal.stats()["counts"] == {"grant": {0: 1}, "refresh": {}, "probe": {}}


async def test_stopping_resets_a_hanging_call_at_once(bench: Bench) -> None:
    await bench.fault(fault="hang")
    call = asyncio.create_task(bench.failure())
    async with asyncio.timeout(HANG_S):
        # Every token call first sleeps for its configured time, also if that is 0.
        await bench.clock.slept.wait()
        await bench.sandbox.stop()
        assert (await call).kind is FailureKind.CONNECT


# Start, stop and log


async def test_broken_requests_leave_no_secret_in_the_log(bench: Bench, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    host, _, port = bench.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /api/pay1st/auth/token HTTP/1.1\r\nAuthorization: Basic canary-\x01\r\n\r\n")
    await reader.read()
    writer.close()
    await writer.wait_closed()
    assert "canary" not in caplog.text


async def test_a_sandbox_listens_until_it_is_stopped() -> None:
    sandbox = Sandbox(CONFIG, HandClock())
    url = await sandbox.start()
    async with open_session() as session:
        async with session.get(url + "/_sandbox/stats") as response:
            assert response.status == 200
        await sandbox.stop()
        with pytest.raises(aiohttp.ClientConnectorError):
            await session.get(url)


async def test_a_port_in_use_is_an_error_and_leaves_nothing_open(bench: Bench) -> None:
    port = int(bench.url.rpartition(":")[2])
    with pytest.raises(OSError, match=r"\[Errno") as caught:
        await Sandbox(CONFIG, HandClock()).start(port=port)
    assert caught.value.errno == errno.EADDRINUSE


def test_the_configuration_shows_no_secret() -> None:
    assert "sandbox-key" not in repr(CONFIG)
    assert "sandbox-s" not in repr(CONFIG)
