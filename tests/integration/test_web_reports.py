"""`POST /v1/token/rejected` through a real socket."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator

import pytest

from sidecar.core.model import Secret, token_id_of
from sidecar.partner.response import MAX_TOKEN_CHARS
from sidecar.vending.api import Report
from sidecar.web.api.token import MAX_REPORT_BYTES
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import exchange

ONE = token_id_of(Secret("access-token-one"))


HEAD = (
    b"POST /v1/token/rejected HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\nConnection: close\r\n"
    b"Content-Type: application/json\r\n"
)


@pytest.fixture
async def service() -> AsyncIterator[VendingService]:
    async with vending_service() as running:
        yield running


@pytest.mark.parametrize("body", [{"tokenId": ONE}, {"accessToken": "access-token-one"}])
async def test_a_report_names_the_token_by_id_or_by_itself(service: VendingService, body: dict[str, str]) -> None:
    reply = await service.post("/v1/token/rejected", json.dumps(body).encode())
    assert (reply.status, reply.json()) == (202, {"verdict": "refreshing"})
    assert service.provider.reported == [ONE]


async def test_a_token_in_the_field_for_its_id_is_still_only_known_by_its_id(service: VendingService) -> None:
    await service.post("/v1/token/rejected", b'{"tokenId": "access-token-one"}')
    assert service.provider.reported == [ONE]


@pytest.mark.parametrize("verdict", ["already-replaced", "confirmed"])
async def test_a_report_is_answered_with_the_verdict(service: VendingService, verdict: str) -> None:
    service.other.verdict = Report("confirmed" if verdict == "confirmed" else "already-replaced")
    reply = await service.post("/v1/token/other/rejected", b'{"accessToken": "old"}')
    assert (reply.status, reply.json()) == (202, {"verdict": verdict})
    assert service.served == [("other", "rejected", "ok")]


async def test_a_report_beyond_the_budget_is_told_when_to_come_back(service: VendingService) -> None:
    service.provider.verdict = Report("later", retry_after_s=11.1)
    reply = await service.post("/v1/token/rejected", b'{"accessToken": "old"}')
    assert (reply.json(), reply.header("Retry-After")) == ({"verdict": "later", "retryAfter": 12}, "12")


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"x"', b"{}", b'{"tokenId": 1}', b'{"tokenId": ""}', b'{"tokenId": null}', b"\xff",
     b'{"tokenId": "a", "accessToken": "b"}', b'{"accessToken": "\\ud800"}', b"[" * 16_000,
     b'{"tokenId": "\xff"}', b'{"\xff": 1}'],
)  # fmt: skip
async def test_a_report_that_names_no_token_is_a_bad_request(service: VendingService, body: bytes) -> None:
    reply = await service.post("/v1/token/rejected", body)
    assert (reply.status, reply.code) == (400, "bad-request")
    assert service.provider.reported == []


async def test_a_report_must_be_json(service: VendingService) -> None:
    reply = await service.post("/v1/token/rejected", b'{"tokenId": "x"}', {"Content-Type": "text/plain"})
    assert (reply.status, reply.code) == (400, "bad-request")


async def test_a_report_of_the_longest_token_is_read_and_a_byte_beyond_the_limit_is_413(
    service: VendingService,
) -> None:
    longest = b'{"accessToken": "%s"}' % (b"x" * MAX_TOKEN_CHARS)
    fits = longest + b" " * (MAX_REPORT_BYTES - len(longest))
    assert (await service.post("/v1/token/rejected", fits)).status == 202
    reply = await service.post("/v1/token/rejected", fits + b" ")
    assert (reply.status, reply.code) == (413, "payload-too-large")


async def test_a_chunked_body_without_end_is_413(service: VendingService) -> None:
    fields = b"Transfer-Encoding: chunked\r\n\r\n"
    chunk = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    reply = await exchange(service.address, HEAD + fields + chunk * 2 + b"0\r\n\r\n")
    assert (reply.status, reply.code) == (413, "payload-too-large")


async def test_a_broken_transfer_coding_is_a_bad_request_that_repeats_nothing(service: VendingService) -> None:
    fields = b"Transfer-Encoding: chunked\r\n\r\n"
    reply = await exchange(service.address, HEAD + fields + b"CANARY\r\n")
    assert (reply.status, reply.code) == (400, "bad-request")
    assert b"CANARY" not in reply.raw


async def test_a_caller_that_expects_100_continue_gets_it(service: VendingService) -> None:
    body = b'{"accessToken": "x"}'
    fields = b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(body)
    reply = await exchange(service.address, HEAD + fields + body)
    assert reply.raw.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 202 ")


async def test_a_body_that_is_announced_too_large_is_refused_before_it_is_sent(service: VendingService) -> None:
    sent = HEAD + b"Expect: 100-continue\r\nContent-Length: 70000\r\n\r\n"
    reply = await exchange(service.address, sent)
    assert (reply.status, reply.code) == (413, "payload-too-large")


async def test_an_interim_answer_does_not_count_as_one_begun(service: VendingService) -> None:
    service.provider.verdict = RuntimeError()
    body = b'{"accessToken": "x"}'
    reply = await exchange(service.address, HEAD + b"Expect: 100-continue\r\nContent-Length: 20\r\n\r\n" + body)
    assert b"\r\n\r\nHTTP/1.1 500 " in reply.raw
