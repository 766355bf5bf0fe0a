"""The partner client on real sockets: the exact bytes that it sends, and when it sends none."""

from __future__ import annotations

import contextlib
from pathlib import Path

import aiohttp
import pytest

from sidecar import __version__
from sidecar.core.errors import FailureKind, PartnerError, UnsentError
from sidecar.core.model import Secret
from sidecar.core.ports import MaySend
from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from tests.support.canary_call import (
    ACCESS,
    BASIC,
    CREDENTIALS,
    GOOD,
    REFRESH,
    always,
    assert_no_canary,
    failure,
    grant,
)
from tests.support.hand_clock import HandClock
from tests.support.raw_partner import (
    Play,
    RawPartner,
    http,
    reply,
    reset,
)
from tests.support.replica import PATIENT_S

CONTENT_TYPE = "application/vnd.carry1st.payments.partnerauthentication+json"
NEW_YEAR = 1_767_225_600
"""2026-01-01T00:00:00Z."""


# What is sent


async def test_a_grant_is_these_bytes_and_no_others(client: PartnerClient, partner: RawPartner) -> None:
    await grant(client)
    host = partner.url.removeprefix("http://")
    head, _, body = partner.received[0].partition(b"\r\n\r\n")
    request, *headers = head.decode().split("\r\n")
    assert request == "POST /api/pay1st/auth/token HTTP/1.1"
    assert sorted(headers) == sorted(
        [
            f"Host: {host}",
            f"Content-Type: {CONTENT_TYPE}",
            f"Authorization: Basic {BASIC}",
            "Accept: */*",
            "Accept-Encoding: identity",
            f"User-Agent: token-sidecar/{__version__}",
            "Content-Length: 20",
            "Connection: close",
        ]
    )
    assert body == b'{"role": "API_USER"}'


async def test_a_refresh_is_these_bytes_without_key_and_secret(client: PartnerClient, partner: RawPartner) -> None:
    await client.refresh(Secret('quote"d-é'), CREDENTIALS, "API_USER", always)
    head, _, body = partner.received[0].partition(b"\r\n\r\n")
    request, *headers = head.decode().split("\r\n")
    assert request == "POST /api/pay1st/auth/refresh HTTP/1.1"
    assert f"Content-Type: {CONTENT_TYPE}" in headers
    assert f"Accept: {CONTENT_TYPE}" in headers
    assert not [header for header in headers if header.lower().startswith("authorization")]
    assert body == rb'{"role": "API_USER", "refreshToken": "quote\"d-\u00e9"}'


async def test_the_other_preset_differs_in_path_and_content_type_only(
    partner: RawPartner, session: aiohttp.ClientSession, clock: HandClock
) -> None:
    client = PartnerClient(PRESETS["flow1st"], partner.url + "/", PATIENT_S, session, clock)
    await grant(client)
    assert partner.received[0].startswith(b"POST /api/distributors/auth/token HTTP/1.1\r\n")
    assert b"Content-Type: application/vnd.carry1st.products.distributorauthentication+json\r\n" in partner.received[0]
    assert b'{"role": "API_USER"}' in partner.received[0]


async def test_a_preset_without_refresh_never_sends_one(
    partner: RawPartner, session: aiohttp.ClientSession, clock: HandClock
) -> None:
    client = PartnerClient(PRESETS["flow1st"], partner.url, PATIENT_S, session, clock)
    assert not client.can_refresh
    with pytest.raises(PartnerError) as caught:
        await client.refresh(Secret(REFRESH), CREDENTIALS, "API_USER", always)
    assert (caught.value.kind, partner.received) == (FailureKind.BAD_REQUEST, [])


async def test_a_response_becomes_a_token(client: PartnerClient) -> None:
    token = await grant(client)
    assert (token.access, token.refresh, token.lifetime_s) == (Secret(ACCESS), Secret(REFRESH), None)
    assert client.can_refresh


async def test_cookies_are_neither_kept_nor_sent(client: PartnerClient, partner: RawPartner) -> None:
    partner.play = http("200 OK", GOOD, "Set-Cookie: session=1")
    await grant(client)
    await grant(client)
    assert b"cookie" not in partner.received[1].lower()


async def test_a_netrc_entry_for_the_host_changes_nothing(
    client: PartnerClient, partner: RawPartner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    await grant(client)
    await client.refresh(Secret(REFRESH), CREDENTIALS, "API_USER", always)
    assert f"Authorization: Basic {BASIC}".encode() in partner.received[0]
    assert b"authorization" not in partner.received[1].lower()


# When it is sent


def until(clock: HandClock, last: float) -> MaySend:
    """Like a lease: the first byte may be sent up to this time."""
    return lambda: clock.monotonic() <= last


async def test_after_the_time_limit_no_byte_is_sent(
    client: PartnerClient, partner: RawPartner, clock: HandClock
) -> None:
    with pytest.raises(UnsentError) as caught:
        await grant(client, may_send=until(clock, clock.monotonic() - 0.001))
    assert_no_canary(caught.value)
    await grant(client, may_send=until(clock, clock.monotonic()))
    # The second connection was accepted after the first one, so the first one's bytes would be here by now.
    assert partner.received[0] == b""
    assert partner.received[1].startswith(b"POST ")


async def test_a_connection_that_took_too_long_is_not_used(
    partner: RawPartner, clock: HandClock, session: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The time limit passes while connecting. It is checked right before the first byte."""
    connect = aiohttp.TCPConnector.connect

    async def slow_connect(*args: object, **options: object) -> object:
        clock.now += 5
        return await connect(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(aiohttp.TCPConnector, "connect", slow_connect)
    client = PartnerClient(PRESETS["pay1st"], partner.url, PATIENT_S, session, clock)
    with pytest.raises(UnsentError):
        await grant(client, may_send=until(clock, clock.monotonic() + 4))
    await grant(client, may_send=until(clock, clock.monotonic() + 6))
    assert partner.received[0] == b""


@pytest.mark.parametrize(
    "play", [reset, reply(b""), reply(b"HTTP/1.1 200 OK\r\nContent-Le")], ids=["reset", "fin", "cut"]
)
async def test_a_post_is_never_repeated(client: PartnerClient, partner: RawPartner, play: Play) -> None:
    await grant(client)
    partner.play = play
    await failure(client)
    assert len(partner.received) == 2


# What is measured


@pytest.mark.parametrize(
    ("status", "date", "measured"),
    [
        ("200 OK", "Thu, 01 Jan 2026 00:10:00 GMT", [NEW_YEAR + 600]),
        ("200 OK", "Thu, 01 Jan 2026 00:10:00 +0100", []),
        ("200 OK", "yesterday", []),
        ("200 OK", None, []),
        ("401 No", "Thu, 01 Jan 2026 00:00:01 GMT", [NEW_YEAR + 1]),
        ("429 Wait", "Wed, 31 Dec 2025 23:50:00 GMT", [NEW_YEAR - 600]),
        ("503 Down", "Thu, 01 Jan 2026 00:00:00 GMT", [NEW_YEAR]),
    ],
)
async def test_the_date_of_each_response_is_measured(
    partner: RawPartner, session: aiohttp.ClientSession, status: str, date: str | None, measured: list[float]
) -> None:
    clock, seen = HandClock(), []

    def measure(date: float, sent_at: float, received_at: float) -> None:
        assert sent_at <= received_at == clock.monotonic()
        seen.append(date)

    client = PartnerClient(PRESETS["pay1st"], partner.url, 2, session, clock, measure=measure)
    partner.play = http(status, GOOD, *([] if date is None else [f"Date: {date}"]))
    with contextlib.suppress(PartnerError):
        await grant(client)
    assert seen == measured


async def test_a_call_without_a_response_measures_nothing(partner: RawPartner, session: aiohttp.ClientSession) -> None:
    seen: list[float] = []
    client = PartnerClient(
        PRESETS["pay1st"], partner.url, 2, session, HandClock(), measure=lambda *made: seen.extend(made)
    )
    partner.play = reset
    await failure(client)
    assert not seen
