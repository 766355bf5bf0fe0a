"""Responses that gateways changed are read. Malformed ones have their problem."""

from __future__ import annotations

import gzip

import pytest

from sidecar.core.errors import AnswerProblem
from sidecar.core.model import Secret
from sidecar.partner.client import PartnerClient
from sidecar.partner.response import MAX_BODY_BYTES
from tests.support.canary_call import ACCESS, GOOD, failure, grant
from tests.support.raw_partner import Play, RawPartner, http, reply, reset


@pytest.mark.parametrize(
    ("play", "problem"),
    [
        (reply(b"SSH-2.0-OpenSSH_9.2 canary-access\r\n\r\n"), AnswerProblem.TRANSFER),
        (reply(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + GOOD), AnswerProblem.TRANSFER),
        (http("200 OK", b"<html>canary-access</html>"), AnswerProblem.NOT_JSON),
        (http("200 OK", GOOD.ljust(MAX_BODY_BYTES + 1)), AnswerProblem.TOO_LONG),
        (http("302 Found", b"", "Location: http://127.0.0.1:9/"), AnswerProblem.STATUS),
        (http("503 Service Unavailable", b""), None),
        (reset, None),
    ],
)
async def test_each_malformed_response_has_its_problem(
    client: PartnerClient, partner: RawPartner, play: Play, problem: AnswerProblem | None
) -> None:
    partner.play = play
    assert (await failure(client)).problem is problem


@pytest.mark.parametrize("headers", [("Content-Encoding: gzip",), ()], ids=["said", "not said"])
async def test_a_response_that_is_compressed_unasked_is_read(
    client: PartnerClient, partner: RawPartner, headers: tuple[str, ...]
) -> None:
    partner.play = http("200 OK", gzip.compress(GOOD), *headers)
    assert (await grant(client)).access == Secret(ACCESS)
    assert b"accept-encoding: identity" in partner.received[0].lower()


async def test_a_response_with_a_byte_order_mark_is_read(client: PartnerClient, partner: RawPartner) -> None:
    partner.play = http("200 OK", b"\xef\xbb\xbf" + GOOD)
    assert (await grant(client)).access == Secret(ACCESS)
