"""Contradictory responses of a partner or a gateway: each is a good token or a failure of a known kind, at once."""

from __future__ import annotations

import asyncio
import json
import zlib

import aiohttp
import pytest

from sidecar.core.errors import FailureKind, PartnerError
from sidecar.core.model import PartnerToken, Secret
from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from tests.support.canary_call import ACCESS, GOOD, failure, grant
from tests.support.hand_clock import HandClock
from tests.support.raw_partner import Play, RawPartner, http, raw_partner, reply, say_nothing

OK = b"HTTP/1.1 200 OK\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(GOOD)
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
CHUNK = b"%x\r\n%s\r\n" % (len(GOOD), GOOD)
BOMB = zlib.compress(b" " * 50_000_000)


@pytest.mark.parametrize(
    "raw",
    [
        OK + b"Content-Length: -1\r\n\r\n" + GOOD,
        OK + b"Content-Length: +9\r\n\r\n" + GOOD,
        OK + b"Content-Length: 1e3\r\n\r\n" + GOOD,
        OK + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n" + GOOD,
        OK + LENGTH + b"Content-Length: 1\r\n\r\n" + GOOD,
        OK + b"Content-Length: 1, 2\r\n\r\n" + GOOD,
        OK + LENGTH + b"Transfer-Encoding: chunked\r\n\r\n" + CHUNK,
        OK + b"Transfer-Encoding: chunked, chunked\r\n\r\n" + CHUNK[:-1],
        CHUNKED + b"-5\r\n" + GOOD,
        CHUNKED + b"0x10\r\n" + GOOD,
        CHUNKED + b" \r\n" + GOOD,
        CHUNKED + b"f" * 17 + b"\r\n" + GOOD,
        CHUNKED + CHUNK + b"zz\r\n",
        OK + b"Content-Encoding: gzip\r\n\r\n" + BOMB,
        OK + b"Content-Encoding: deflate\r\n\r\n" + BOMB,
        OK + b"Content-Encoding: br, zstd\r\n\r\n" + BOMB,
        OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + b"5\r\n" + BOMB[:5] + b"\r\n0\r\n\r\n",
        OK + b"Bad Header\r\n\r\n" + GOOD,
        OK + b"X: a\x00b\r\n" + LENGTH + b"\r\n" + GOOD,
        b"HTTP/9.9 200 OK\r\n" + LENGTH + b"\r\n" + GOOD,
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 -1 OK\r\n\r\n",
        b"HTTP/1.1\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x15\x03\x01\x00\x02\x02\x28",
        GOOD,
        b"\x00" * 100,
    ],
    ids=lambda raw: repr(raw[:60])[2:50],
)
async def test_a_response_that_contradicts_itself_is_malformed(
    client: PartnerClient, partner: RawPartner, raw: bytes
) -> None:
    partner.play = reply(raw)
    assert (await failure(client)).kind in (FailureKind.MALFORMED, FailureKind.CONNECT), "and no timeout"


@pytest.mark.parametrize(
    "play",
    [
        http("200 OK", GOOD, "Set-Cookie: a=b; Max-Age=1e309", "Set-Cookie: ;;;=", "Set-Cookie: " + "c" * 4000),
        http("200 OK", GOOD, "Retry-After: 1e309", "Date: Fri, 31 Dec 9999 23:59:59 GMT"),
        http("200 OK", GOOD, "Content-Type: text/html; charset=utf-16"),
        http("200 OK", GOOD, "Content-Encoding: identity"),
        http("200 OK", GOOD, "Location: http://127.0.0.1:9/", "Refresh: 0", "Link: <x>; rel=next"),
        reply(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK + LENGTH + b"\r\n" + GOOD),
        reply(CHUNKED + CHUNK.replace(b"\r\n", b";x=y\r\n", 1) + b"0\r\nX-Trailer: 1\r\n\r\n"),
        reply(b"HTTP/1.0 200 OK\r\n\r\n" + GOOD),
        http("200 OK", json.dumps({**json.loads(GOOD), "expiresIn": "soon", "expiresAt": "9999-12-31"}).encode()),
    ],
)
async def test_a_good_token_is_accepted_with_any_other_headers_and_fields(
    client: PartnerClient, partner: RawPartner, play: Play
) -> None:
    partner.play = play
    token = await grant(client)
    assert (token.access, token.lifetime_s) == (Secret(ACCESS), None)
    assert len(partner.received) == 1


@pytest.mark.parametrize("status", ["301", "302", "303", "307", "308"])
async def test_no_secret_is_sent_to_the_target_of_a_redirect(
    client: PartnerClient, partner: RawPartner, status: str
) -> None:
    async with raw_partner() as elsewhere:
        partner.play = http(f"{status} Over There", b"", f"Location: {elsewhere.url}/take")
        assert (await failure(client)).kind is FailureKind.MALFORMED
        assert elsewhere.received == []


async def test_a_cookie_is_not_sent_back(client: PartnerClient, partner: RawPartner) -> None:
    partner.play = http("200 OK", GOOD, "Set-Cookie: track=canary; Path=/")
    await grant(client)
    await grant(client)
    assert b"cookie" not in partner.received[1].lower()


async def outcome(client: PartnerClient) -> PartnerToken | FailureKind:
    try:
        return await grant(client)
    except PartnerError as error:
        return error.kind


@pytest.mark.parametrize(
    "more", [b"x", b"HTTP/1.1 500 No\r\n\r\n", OK + b"Content-Length: 0\r\n\r\n", b"\x00" * 60_000]
)
async def test_data_after_a_response_is_no_part_of_it(client: PartnerClient, partner: RawPartner, more: bytes) -> None:
    """If the data arrives in one read with the response, by chance, the whole may be malformed. It is never mixed."""
    partner.play = reply(OK + LENGTH + b"\r\n" + GOOD + more)
    found = await outcome(client)
    assert found is FailureKind.MALFORMED or (isinstance(found, PartnerToken) and found.access == Secret(ACCESS))


@pytest.mark.parametrize("tls", [False, True])
async def test_a_partner_that_sends_before_the_request_is_bounded_too(
    session: aiohttp.ClientSession, clock: HandClock, tls: bool
) -> None:
    async def shout(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK + LENGTH + b"\r\n" + GOOD + b"x" * 1_000_000)
        await say_nothing(_reader, writer)
        writer.close()

    server = await asyncio.start_server(shout, "127.0.0.1", 0)
    url = f"http{'s' if tls else ''}://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with server:
        found = await outcome(PartnerClient(PRESETS["pay1st"], url, 0.5, session, clock))
    assert isinstance(found, PartnerToken) or found in (
        FailureKind.MALFORMED, FailureKind.CONNECT, FailureKind.TIMEOUT
    )  # fmt: skip


@pytest.mark.parametrize(
    "values",
    [
        ["1e309"], ["-1"], ["0"], ["\u0663"], ["1e309", "7"],
        ["Sat, 01 Jan 0000 00:00:00 GMT"], ["NaN"], [""], ["30, 60"],
    ],
    ids=lambda values: repr(values)[:30],
)  # fmt: skip
async def test_an_unusable_wait_is_none(client: PartnerClient, partner: RawPartner, values: list[str]) -> None:
    partner.play = http("429 Too Many Requests", b"{}", *(f"Retry-After: {value}" for value in values))
    error = await failure(client)
    assert (error.kind, error.retry_after_s) == (FailureKind.THROTTLED, None)


@pytest.mark.parametrize(
    ("header", "wait_s"),
    [
        ("Retry-After: 12.5", 13),
        ("Retry-After: 300, 300", 300),
        ("Retry-After: 99999999999", 86_400),
        ("Retry-After: " + "9" * 8000, 86_400),
        ("Retry-After: Fri, 31 Dec 9999 23:59:59 UTC", 86_400),
        ("RateLimit-Reset: 17", 17),
        ("X-RateLimit-Reset: 17", 17),
    ],
    ids=lambda header: str(header)[:30],
)
async def test_a_wait_is_read_in_the_forms_of_gateways_and_limiters(
    client: PartnerClient, partner: RawPartner, header: str, wait_s: float
) -> None:
    partner.play = http("429 Too Many Requests", b"{}", header)
    error = await failure(client)
    assert (error.kind, error.retry_after_s) == (FailureKind.THROTTLED, wait_s)
