"""`/v1/token` and `/v1/authorize` through a real socket, when there is a token."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from sidecar.core.errors import WaitTimeoutError
from sidecar.core.model import Secret, token_id_of
from sidecar.core.partner_table import TokenHeader
from tests.support.fake_provider import NOW, token, vended
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import PLAIN, ask, exchange

ONE = token_id_of(Secret("access-token-one"))


@pytest.fixture
async def service() -> AsyncIterator[VendingService]:
    async with vending_service() as running:
        yield running


async def test_a_token_is_answered_with_every_field_of_the_contract(service: VendingService) -> None:
    reply = await service.get("/v1/token")
    assert reply.status == 200
    assert reply.header("Content-Type") == "application/json"
    assert reply.header("ETag") == f'"{ONE}"'
    assert reply.json() == {
        "profile": "default",
        "role": "API_USER",
        "tokenType": "Bearer",
        "accessToken": "access-token-one",
        "tokenId": ONE,
        "issuedAt": "2026-01-01T00:00:00Z",
        "expiresAt": "2026-01-01T00:15:00Z",
        "expiresIn": 900,
        "lifetime": "assumed",
    }


async def test_the_refresh_token_never_leaves(service: VendingService) -> None:
    for path in ("/v1/token", "/v1/token/other", "/v1/authorize"):
        assert b"refresh-of" not in (await service.get(path)).raw


async def test_an_answer_from_memory_does_not_wait_for_vend(service: VendingService) -> None:
    service.provider.later = AssertionError("vend was called")
    assert (await service.get("/v1/token")).status == 200


async def test_the_answer_follows_the_seconds_and_the_token(service: VendingService) -> None:
    for given in (vended(expires_in_s=900), vended(expires_in_s=899), vended("access-token-two", expires_in_s=899)):
        service.provider.now = given
        document = (await service.get("/v1/token")).json()
        assert (document["expiresIn"], document["tokenId"]) == (given.expires_in_s, given.token.token_id)


async def test_the_answer_follows_a_clock_that_is_set_within_the_second(service: VendingService) -> None:
    for step_s, ends in ((0, "2026-01-01T00:15:00Z"), (86_400, "2026-01-02T00:15:00Z"), (0, "2026-01-01T00:15:00Z")):
        service.provider.now = replace(vended(), issued_at=NOW + step_s)
        assert (await service.get("/v1/token")).json()["expiresAt"] == ends


async def test_a_lifetime_beyond_the_calendar_is_still_answered(service: VendingService) -> None:
    service.provider.now = vended()
    object.__setattr__(service.provider.now, "token", token(lifetime_s=1e15))
    assert (await service.get("/v1/token")).json()["expiresAt"] == "9999-12-31T23:59:59Z"


async def test_a_named_profile_has_its_own_token(service: VendingService) -> None:
    service.other.now = vended("access-token-other")
    document = (await service.get("/v1/token/other")).json()
    assert (document["profile"], document["accessToken"]) == ("other", "access-token-other")


async def test_a_suspect_token_is_marked_in_body_and_header(service: VendingService) -> None:
    service.provider.now, service.provider.later = None, vended(suspect=True)
    reply = await service.get("/v1/token")
    assert (reply.json()["suspect"], reply.json()["expiresIn"]) == (True, 1)
    assert reply.header("Token-Suspect") == "true"
    assert (await service.get("/v1/authorize")).header("Token-Suspect") == "true"


async def test_a_good_token_carries_no_suspect_mark(service: VendingService) -> None:
    reply = await service.get("/v1/token")
    assert "suspect" not in reply.json()
    assert reply.header("Token-Suspect") is None


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("text/plain", "text/plain; charset=utf-8"),
        ("text/*", "text/plain; charset=utf-8"),
        ("text/plain, */*;q=0.5", "text/plain; charset=utf-8"),
        ("application/json, text/plain, */*", "application/json"),
        ("text/plain;q=0, */*", "application/json"),
        ("*/*", "application/json"),
        ("text/html", "application/json"),
    ],
)
async def test_accept_chooses_between_json_and_the_token_alone(
    service: VendingService, accept: str, content_type: str
) -> None:
    reply = await service.get("/v1/token", {"Accept": accept})
    assert reply.header("Content-Type") == content_type
    assert (reply.body == b"access-token-one") == content_type.startswith("text")


@pytest.mark.parametrize("tags", [f'"{ONE}"', f'W/"{ONE}"', f'"x", W/"{ONE}"', "*"])
async def test_a_known_token_is_answered_304(service: VendingService, tags: str) -> None:
    reply = await service.get("/v1/token", {"If-None-Match": tags})
    assert (reply.status, reply.body, reply.header("ETag")) == (304, b"", f'"{ONE}"')
    assert service.served == [("default", "token", "not-modified")]
    assert service.provider.waits_s == []


@pytest.mark.parametrize("tags", ['"another"', ONE, '""'])
async def test_another_tag_is_answered_with_the_token(service: VendingService, tags: str) -> None:
    assert (await service.get("/v1/token?wait=30", {"If-None-Match": tags})).status == 200
    assert service.provider.waits_s == []


async def test_a_long_poll_answers_as_soon_as_there_is_another_token(service: VendingService) -> None:
    service.provider.waits = True
    polling = asyncio.create_task(service.get("/v1/token?wait=30", {"If-None-Match": f'"{ONE}"'}))
    await service.provider.waiting.wait()
    service.provider.now = vended("access-token-two")
    service.provider.another.set()
    assert (await polling).json()["accessToken"] == "access-token-two"
    assert service.provider.waits_s == [30]


async def test_a_long_poll_for_any_token_answers_the_next_one(service: VendingService) -> None:
    service.provider.another.set()
    assert (await service.get("/v1/token?wait=30", {"If-None-Match": "*"})).status == 200


async def test_a_long_poll_without_change_ends_in_304(service: VendingService) -> None:
    assert (await service.get("/v1/token?wait=0.5", {"If-None-Match": "*"})).status == 304
    assert service.provider.waits_s == [0.5]


async def test_a_long_poll_waits_a_minute_at_most(service: VendingService) -> None:
    await service.get("/v1/token?wait=3600", {"If-None-Match": "*"})
    assert service.provider.waits_s == [60]


async def test_min_ttl_is_met_from_memory_where_it_can_be(service: VendingService) -> None:
    assert (await service.get("/v1/token?min_ttl=900")).status == 200
    assert service.provider.min_ttls_s == []


async def test_min_ttl_beyond_what_is_left_asks_for_another_token(service: VendingService) -> None:
    service.provider.now = vended(expires_in_s=899)
    service.provider.later = vended("access-token-two")
    assert (await service.get("/v1/token?min_ttl=899.5")).json()["accessToken"] == "access-token-two"
    assert service.provider.min_ttls_s == [899.5]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"])
async def test_authorize_returns_200_with_the_header_of_the_partner_to_any_method(
    service: VendingService, method: str
) -> None:
    reply = await ask(service.address, "/v1/authorize", method=method)
    assert (reply.status, reply.body, reply.header("AccessToken")) == (200, b"", "Bearer access-token-one")
    assert (await ask(service.address, "/v1/authorize/other", method=method)).header("X-Other") is not None


@pytest.mark.parametrize("scheme", ["", "Token", "Bearer"])
async def test_authorize_names_the_header_where_the_value_does_not_begin_with_bearer(scheme: str) -> None:
    async with vending_service(other_header=TokenHeader("X-Other", scheme)) as service:
        reply = await ask(service.address, "/v1/authorize/other")
    assert reply.header("X-Other") == f"{scheme} access-token-one".lstrip()
    assert reply.header("Token-Header") == (None if scheme == "Bearer" else "X-Other")


async def test_authorize_passes_over_a_body_and_ends_the_connection(service: VendingService) -> None:
    """Envoy can be configured to send the body of the request too."""
    head = b"POST /v1/authorize HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\n"
    for body in (b"Content-Length: 3\r\n\r\nabc", b"Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"):
        # `exchange` reads until the connection ends: what follows the body is no further request.
        reply = await exchange(service.address, head + body + PLAIN)
        assert (reply.status, reply.header("Connection"), reply.body) == (200, "close", b"")


async def test_no_answer_of_authorize_but_200_has_the_header_of_the_partner(service: VendingService) -> None:
    """A proxy passes a refusal with its headers to its client."""
    refused = [
        await ask(service.address, "/v1/authorize", headers={"Host": "x"}, bare=True),
        await ask(service.address, "/v1/authorize?min_ttl=x"),
        await ask(service.address, "/v1/authorize/nobody"),
        await ask(service.address, "/v1/authorize/default/appended"),
    ]
    service.provider.now, service.provider.later = None, WaitTimeoutError("wait", retry_after_s=1)
    refused.append(await ask(service.address, "/v1/authorize"))
    assert [reply.status for reply in refused] == [403, 400, 404, 404, 503]
    assert [reply.header("AccessToken") for reply in refused] == [None] * 5


@pytest.mark.parametrize("path", ["/v1/token", "/openapi.json"])
async def test_head_answers_like_get_without_a_body(service: VendingService, path: str) -> None:
    get, head = await service.get(path), await ask(service.address, path, method="HEAD")
    assert (head.status, head.body) == (get.status, b"")
    assert head.header("Content-Length") == get.header("Content-Length")
