"""A partner or a gateway that sends without end, as fast as it can: time, bytes and memory are bounded."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import aiohttp
import pytest
from aiohttp import http_parser

from sidecar.core.errors import FailureKind
from sidecar.partner.client import PartnerClient
from sidecar.partner.presets import PRESETS
from sidecar.partner.response import MAX_BODY_BYTES
from sidecar.partner.transport import MAX_RESPONSE_BYTES
from tests.support.canary_call import ACCESS, GOOD, failure, grant
from tests.support.flood import flooding
from tests.support.hand_clock import HandClock
from tests.support.raw_partner import RawPartner, reply
from tests.support.replica import HANG_S, PATIENT_S
from tests.support.resident import watched_memory

TIMEOUT_S = 0.4
GROWTH_BYTES = 16 * 1024 * 1024
ON_THE_WAY_BYTES = 32 * 1024 * 1024
"""The bytes that the system's socket buffers take of a flood in three calls."""

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
INTERIM = b"HTTP/1.1 100 Continue\r\n\r\n"
NOISE = {FailureKind.MALFORMED}
FLOODS: dict[str, tuple[bytes, bytes, set[FailureKind]]] = {
    "headers": (OK, b"X-A: b\r\n", NOISE),
    "one header": (OK + b"X-A: ", b"b", NOISE),
    "a header in folded lines": (OK + b"X-A: ", b"\r\n b", NOISE),
    "one header's name": (OK, b"X", NOISE),
    "cookies": (OK, b"Set-Cookie: a=b; Path=/; HttpOnly\r\n", NOISE),
    "a reason": (b"HTTP/1.1 200 ", b"O", NOISE),
    "interim responses": (b"", INTERIM, NOISE),
    "interim responses with hints": (b"", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", NOISE),
    "a body of a terabyte": (OK + b"Content-Length: 1000000000000\r\n\r\n", b"x", NOISE),
    "a body": (OK + b"\r\n", b"x", NOISE),
    "a body of another encoding": (OK + b"Content-Encoding: gzip\r\n\r\n", b"\x1f\x8b\x08", NOISE),
    "chunks": (CHUNKED, b"1000\r\n" + b"x" * 0x1000 + b"\r\n", NOISE),
    "a chunk": (CHUNKED + b"fffffffffffff\r\n", b"x", NOISE),
    "the size of a chunk": (CHUNKED, b"0", NOISE),
    "an extension of a chunk": (CHUNKED + b"1;", b"a=b;", NOISE),
    "trailers": (CHUNKED + b"1\r\nx\r\n0\r\n", b"X-A: b\r\n", NOISE | {FailureKind.TIMEOUT}),
    "one trailer": (CHUNKED + b"1\r\nx\r\n0\r\nX-A: ", b"b", NOISE | {FailureKind.TIMEOUT}),
    "empty lines": (b"", b"\r\n", NOISE),
    "no response at all": (b"", b"x", NOISE),
    "frames of the second version": (b"\0\0\x12\x04\0\0\0\0\0", b"\0\0\0\x04\0\0\0\0\0", NOISE),
    "another protocol": (b"HTTP/1.1 101 Switching\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n", b"x", NOISE),
    "the body of a refusal": (b"HTTP/1.1 401 No\r\n\r\n", b"x", {FailureKind.UNAUTHORIZED}),
    "the body of a fault": (b"HTTP/1.1 503 No\r\n\r\n", b"x", {FailureKind.SERVER_ERROR}),
    # If the data in one read with the head is invalid for the parser, the head is lost too.
    "the chunks of a 429": (
        b"HTTP/1.1 429 No\r\nTransfer-Encoding: chunked\r\n\r\n", b"1;a=b\r\nx\r\n", {FailureKind.THROTTLED}
    ),
    "tiny chunks": (CHUNKED, b"1\r\nx\r\n", NOISE | {FailureKind.TIMEOUT}),
}  # fmt: skip


def client_of(port: int, session: aiohttp.ClientSession, clock: HandClock, timeout_s: float) -> PartnerClient:
    return PartnerClient(PRESETS["pay1st"], f"http://127.0.0.1:{port}", timeout_s, session, clock)


@pytest.mark.parametrize("what", FLOODS)
async def test_a_flood_is_a_failure_of_its_kind_in_bounded_memory(
    session: aiohttp.ClientSession, clock: HandClock, what: str
) -> None:
    first, then, kinds = FLOODS[what]
    with flooding(first, then) as partner:
        client = client_of(partner.port, session, clock, TIMEOUT_S if FailureKind.TIMEOUT in kinds else PATIENT_S)
        with watched_memory() as growth:
            async with asyncio.timeout(HANG_S):
                failures = [await failure(client) for _ in range(3)]
    assert {failure.kind for failure in failures} <= kinds
    assert growth.peak_bytes < GROWTH_BYTES
    assert partner.sent_bytes < ON_THE_WAY_BYTES


DRIPS = {
    "head": (b"HTTP/1.1 200 O", b"K"),
    "header": (OK, b"X-A: b\r\n"),
    "body": (OK + b"Content-Length: 60000\r\n\r\n", b" "),
    "size of a chunk": (CHUNKED, b"0"),
    "chunk": (CHUNKED + b"fff\r\n", b" "),
    "trailer": (CHUNKED + b"0\r\n", b"X-A: b\r\n"),
    "interim responses": (b"", INTERIM),
}


@pytest.mark.parametrize("what", DRIPS)
async def test_a_response_of_one_byte_at_a_time_ends_with_the_call(
    session: aiohttp.ClientSession, clock: HandClock, what: str
) -> None:
    first, then = DRIPS[what]
    with flooding(first, then, drip_s=0.02) as partner:
        started = time.monotonic()
        async with asyncio.timeout(HANG_S):
            error = await failure(client_of(partner.port, session, clock, TIMEOUT_S))
    assert error.kind is FailureKind.TIMEOUT
    assert time.monotonic() - started > TIMEOUT_S * 0.9


async def test_a_response_of_the_greatest_length_in_small_chunks_is_read(
    client: PartnerClient, partner: RawPartner
) -> None:
    body, size = GOOD.ljust(MAX_BODY_BYTES), 64
    pieces = (body[at : at + size] for at in range(0, len(body), size))
    chunked = CHUNKED + b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"
    assert len(chunked) < MAX_RESPONSE_BYTES
    partner.play = reply(INTERIM * 3 + chunked)
    assert (await grant(client)).access.reveal() == ACCESS


@pytest.mark.timeout(900)  # a whole file of tests
def test_floods_end_with_the_parser_in_python_too() -> None:
    if os.environ.get("AIOHTTP_NO_EXTENSIONS"):
        assert http_parser.HttpResponseParser is http_parser.HttpResponseParserPy
        return
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", __file__],
        env={**os.environ, "AIOHTTP_NO_EXTENSIONS": "1"},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
