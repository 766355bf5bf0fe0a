"""The partner client on real sockets: the result of each kind of response, and of none."""

from __future__ import annotations

import asyncio
import gzip
import json
import time
from collections.abc import Callable

import aiohttp
import pytest

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.core.model import Secret
from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from sidecar.partner.response import MAX_BODY_BYTES
from tests.support.canary_call import (
    ACCESS,
    BASIC,
    CREDENTIALS,
    GOOD,
    KEY,
    REFRESH,
    SECRET,
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
    say_nothing,
    then_say_nothing,
)
from tests.support.replica import HANG_S, PATIENT_S
from tests.support.secret_encodings import rewritten

# Responses


@pytest.mark.parametrize(
    ("play", "kind"),
    [
        (reset, FailureKind.CONNECT),
        (reply(b""), FailureKind.CONNECT),
        (reply(b"SSH-2.0-OpenSSH_9.2 canary-access\r\n\r\n"), FailureKind.MALFORMED),
        (reply(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + GOOD), FailureKind.MALFORMED),
        (reply(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n" + GOOD), FailureKind.MALFORMED),
        (reply(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n" + GOOD), FailureKind.MALFORMED),
        (reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nXYZ\r\n" + GOOD), FailureKind.MALFORMED),
        (reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{" + GOOD), FailureKind.MALFORMED),
        (reply(b"HTTP/1.1 200 OK\r\nX: " + b"canary-access" * 2000 + b"\r\n\r\n" + GOOD), FailureKind.MALFORMED),
        (http("200 OK", b""), FailureKind.MALFORMED),
        (http("200 OK", GOOD[:-20]), FailureKind.MALFORMED),
        (http("200 OK", b"<html>canary-access</html>", "Content-Type: text/html"), FailureKind.MALFORMED),
        (http("200 OK", gzip.compress(GOOD, mtime=0)[:-1], "Content-Encoding: gzip"), FailureKind.MALFORMED),
        (http("200 OK", gzip.compress(bytes(60_000_000), mtime=0), "Content-Encoding: gzip"), FailureKind.MALFORMED),
        (http("200 OK", GOOD.ljust(MAX_BODY_BYTES + 1)), FailureKind.MALFORMED),
        (http("201 Created", GOOD), FailureKind.MALFORMED),
        (http("302 Found", b"", "Location: http://127.0.0.1:9/"), FailureKind.MALFORMED),
        (http("307 Temporary Redirect", b"", "Location: /api/pay1st/auth/token"), FailureKind.MALFORMED),
        (http("400 Bad Request", b"{}"), FailureKind.BAD_REQUEST),
        (http("401 Unauthorized", b""), FailureKind.UNAUTHORIZED),
        (http("429 Too Many Requests", b"<html>"), FailureKind.THROTTLED),
        (http("503 Service Unavailable", b""), FailureKind.SERVER_ERROR),
    ],
)
async def test_every_invalid_response_has_a_kind_and_leaks_nothing(
    client: PartnerClient, partner: RawPartner, play: Play, kind: FailureKind
) -> None:
    partner.play = play
    assert (await failure(client)).kind is kind
    assert len(partner.received) == 1


@pytest.mark.parametrize(
    ("play", "cause"),
    [(reset, "ClientOSError"), (reply(b""), "ServerDisconnectedError"), (http("503 Service Unavailable", b""), "")],
)
async def test_the_error_has_the_class_of_the_exception_that_ended_the_call(
    client: PartnerClient, partner: RawPartner, play: Play, cause: str
) -> None:
    partner.play = play
    assert (await failure(client)).cause == cause


async def test_a_response_without_length_ends_with_the_connection(client: PartnerClient, partner: RawPartner) -> None:
    partner.play = reply(b"HTTP/1.1 200 OK\r\n\r\n" + GOOD)
    assert (await grant(client)).access == Secret(ACCESS)


async def test_a_chunked_response_is_read(client: PartnerClient, partner: RawPartner) -> None:
    chunk = b"%x\r\n%s\r\n0\r\n\r\n" % (len(GOOD), GOOD)
    partner.play = reply(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    assert (await grant(client)).access == Secret(ACCESS)


async def test_only_the_beginning_of_a_huge_body_is_read(client: PartnerClient, partner: RawPartner) -> None:
    sent = 0

    async def flood(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while sent < 1_000_000_000:
            writer.write(b"x" * 65_536)
            sent += 65_536
            await writer.drain()

    partner.play = flood
    assert (await failure(client)).kind is FailureKind.MALFORMED
    assert sent < 50_000_000


@pytest.mark.parametrize(
    "play",
    [say_nothing, then_say_nothing(b"HTTP/1.1 2"), then_say_nothing(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{")],
)
async def test_silence_at_any_point_is_a_timeout(
    partner: RawPartner, session: aiohttp.ClientSession, clock: HandClock, play: Play
) -> None:
    partner.play = play
    error = await failure(PartnerClient(PRESETS["pay1st"], partner.url, 0.5, session, clock))
    assert (error.kind, error.detail) == (FailureKind.TIMEOUT, None)


async def test_a_slow_response_is_bounded_by_the_same_timeout(
    partner: RawPartner, session: aiohttp.ClientSession, clock: HandClock
) -> None:
    async def drip(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    partner.play = drip
    started = time.monotonic()
    async with asyncio.timeout(HANG_S):
        error = await failure(PartnerClient(PRESETS["pay1st"], partner.url, 0.5, session, clock))
    assert error.kind is FailureKind.TIMEOUT
    assert time.monotonic() - started > 0.4


@pytest.mark.parametrize("end", [then_say_nothing, reply], ids=["never-ends", "cut"])
async def test_a_429_with_an_incomplete_body_is_a_429(
    partner: RawPartner, session: aiohttp.ClientSession, clock: HandClock, end: Callable[[bytes], Play]
) -> None:
    partner.play = end(b"HTTP/1.1 429 Too Many Requests\r\nRetry-After: 7\r\nContent-Length: 9\r\n\r\n{")
    client = PartnerClient(PRESETS["pay1st"], partner.url, 0.2, session, clock)
    while (error := await failure(client)).kind is FailureKind.TIMEOUT:
        """On a busy machine the head may come too late."""
    assert (error.kind, error.retry_after_s) == (FailureKind.THROTTLED, 7)


async def test_what_a_hostile_partner_echoes_is_masked(client: PartnerClient, partner: RawPartner) -> None:
    echo = {
        "errorMessage": f"no key {KEY} with {SECRET}",
        "errorCode": BASIC,
        "sessionId": "s-1",
        "accessToken": ACCESS,
    }
    partner.play = http("401 Unauthorized", json.dumps(echo).encode())
    detail = (await failure(client)).detail
    assert detail is not None
    assert (detail.error_message, detail.error_code, detail.session_id) == ("no key *** with ***", "***", "s-1")


@pytest.mark.parametrize("form", rewritten(SECRET))
async def test_what_a_partner_echoes_in_another_form_is_masked(
    client: PartnerClient, partner: RawPartner, form: str
) -> None:
    """Forms of the secret, and of the header that was sent."""
    document = {"errorMessage": f"not {rewritten(SECRET)[form]}, no", "errorCode": rewritten(BASIC)[form]}
    partner.play = http("401 Unauthorized", json.dumps(document).encode())
    detail = (await failure(client)).detail
    assert detail is not None
    assert (detail.error_message, detail.error_code) == ("not ***, no", "***")


async def test_an_echoed_refresh_token_is_masked(client: PartnerClient, partner: RawPartner) -> None:
    partner.play = http("401 Unauthorized", json.dumps({"errorMessage": f"bad {REFRESH}"}).encode())
    with pytest.raises(PartnerError) as caught:
        await client.refresh(Secret(REFRESH), CREDENTIALS, "API_USER", always)
    assert_no_canary(caught.value)
    assert caught.value.detail is not None
    assert caught.value.detail.error_message == "bad ***"


async def test_secrets_of_earlier_calls_are_masked_too(
    partner: RawPartner, session: aiohttp.ClientSession, clock: HandClock
) -> None:
    """The error of a refresh quotes the credentials, and the token that is refreshed."""
    client = PartnerClient(PRESETS["pay1st"], partner.url, PATIENT_S, session, clock, lambda: [KEY, SECRET])
    token = await grant(client)
    said = f"{KEY}, {SECRET} and {token.access.reveal()} do not go with this"
    partner.play = http("401 Unauthorized", json.dumps({"errorMessage": said}).encode())
    with pytest.raises(PartnerError) as caught:
        await client.refresh(Secret("another"), CREDENTIALS, "API_USER", always)
    assert caught.value.detail is not None
    assert caught.value.detail.error_message == "***, *** and *** do not go with this"


# No connection to the partner


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:1", FailureKind.CONNECT),
        ("http://no-such-name.invalid", FailureKind.CONNECT),
        ("ftp://127.0.0.1", FailureKind.BAD_REQUEST),
        ("http://", FailureKind.BAD_REQUEST),
        ("http://127.0.0.1:99999", FailureKind.BAD_REQUEST),
    ],
)
async def test_an_unusable_address_has_a_kind(
    session: aiohttp.ClientSession, clock: HandClock, url: str, kind: FailureKind
) -> None:
    error = await failure(PartnerClient(PRESETS["pay1st"], url, PATIENT_S, session, clock))
    assert (error.kind, error.detail) == (kind, None)


async def test_tls_to_a_server_without_tls_is_a_connect_failure(
    partner: RawPartner, session: aiohttp.ClientSession, clock: HandClock
) -> None:
    client = PartnerClient(PRESETS["pay1st"], partner.url.replace("http:", "https:"), 0.5, session, clock)
    partner.play = reply(b"")
    assert (await failure(client)).kind in (FailureKind.CONNECT, FailureKind.TIMEOUT)


async def test_a_cancelled_call_ends_cancelled(client: PartnerClient, partner: RawPartner) -> None:
    arrived = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        arrived.set()
        await reader.read()

    partner.play = hold
    call = asyncio.create_task(grant(client))
    await arrived.wait()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
