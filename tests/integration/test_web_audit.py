"""Which responses have a token, and to whom, through real sockets."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from sidecar.core.errors import StartingError
from sidecar.core.model import Address, Secret, token_id_of
from sidecar.core.process_events import Audited, RequestServed
from sidecar.core.trace_context import TraceContext
from sidecar.credentials.caller_token import CallerTokens
from sidecar.vending.api import Report
from sidecar.web.api.guards import GuardSettings
from tests.support.fake_provider import vended
from tests.support.vending_service import VendingService, vending_service
from tests.support.wire import ask, parse

ONE, TWO = (token_id_of(Secret(text)) for text in ("access-token-one", "access-token-two"))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
async def service() -> AsyncIterator[VendingService]:
    async with vending_service() as running:
        yield running


@pytest.mark.parametrize(
    ("path", "headers", "told"),
    [
        ("/v1/token", {}, ("default", "token")),
        ("/v1/token", {"Accept": "text/plain"}, ("default", "token")),
        ("/v1/token/other", {}, ("other", "token")),
        ("/v1/token?min_ttl=5", {}, ("default", "token")),
        ("/v1/token", {"If-None-Match": '"another"'}, ("default", "token")),
        ("/v1/authorize/other", {}, ("other", "authorize")),
    ],
)
async def test_an_answer_with_a_token_is_audited(
    service: VendingService, path: str, headers: Mapping[str, str], told: tuple[str, str]
) -> None:
    assert (await service.get(path, headers)).status in (200, 204)
    assert service.audited == [(*told, ONE, "ok")]


async def test_the_trace_of_a_request_is_told_with_it(service: VendingService) -> None:
    trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
    await service.get("/v1/token", {"traceparent": f"00-{trace}-{span}-01"})
    (audited,), (served,) = service.audit.of(Audited), service.sink.of(RequestServed)
    assert audited.trace == served.trace == TraceContext(trace, span, sampled=True)


async def test_an_oauth_answer_is_audited_under_the_profile_it_names(service: VendingService) -> None:
    await service.post("/oauth/token", b"grant_type=client_credentials&client_id=other", FORM)
    assert service.audited == [("other", "oauth", ONE, "ok")]


async def test_a_suspect_token_is_audited_as_one(service: VendingService) -> None:
    service.provider.now = vended(suspect=True)
    await service.get("/v1/token")
    await service.get("/v1/authorize")
    assert [outcome for *_, outcome in service.audited] == ["suspect", "suspect"]


async def test_not_modified_hands_over_nothing(service: VendingService) -> None:
    assert (await service.get("/v1/token", {"If-None-Match": f'"{ONE}"'})).status == 304
    assert service.audited == []


async def test_a_long_poll_is_audited_once_it_answers_the_next_token(service: VendingService) -> None:
    service.provider.waits = True
    asking = asyncio.create_task(service.get("/v1/token?wait=30", {"If-None-Match": f'"{ONE}"'}))
    await service.provider.waiting.wait()
    assert service.audited == []
    service.provider.now = vended("access-token-two")
    service.provider.another.set()
    assert (await asking).status == 200
    assert service.audited == [("default", "token", TWO, "ok")]


async def test_a_head_that_holds_no_token_is_not_audited_and_one_that_does_is(service: VendingService) -> None:
    """A HEAD of `authorize` has the token among its headers."""
    for path in ("/v1/token", "/v1/authorize"):
        await ask(service.address, path, method="HEAD")
    assert [endpoint for _, endpoint, *_ in service.audited] == ["authorize"]


async def test_a_refusal_and_an_answer_without_a_token_are_not_audited(service: VendingService) -> None:
    service.provider.now, service.provider.later = None, StartingError("No token yet.", retry_after_s=1)
    assert (await service.get("/v1/token")).status == 503
    assert (await ask(service.address, "/v1/token/other", bare=True, headers={"Host": "localhost"})).status == 403
    assert (await service.get("/openapi.json")).status == 200
    assert (await service.post("/v1/token/rejected", b"nonsense")).status == 400
    assert service.audited == []


async def test_a_report_is_audited_with_its_verdict(service: VendingService) -> None:
    service.provider.verdict = Report("later", retry_after_s=3)
    await service.post("/v1/token/rejected", b'{"accessToken": "access-token-one"}')
    assert service.audited == [("default", "rejected", ONE, "later")]


async def test_an_id_that_no_token_here_ever_had_is_not_audited(service: VendingService) -> None:
    """It may be a token of hexadecimal digits in the wrong field."""
    service.provider.verdict = Report("already-replaced", known=False)
    await service.post("/v1/token/rejected", b'{"tokenId": "0123456789abcdef0123456789abcdef"}')
    assert service.audited == [("default", "rejected", "", "already-replaced")]


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_on_tcp_the_caller_is_the_peers_address(host: str) -> None:
    async with vending_service(at=Address(host=host)) as service:
        reader, writer = await asyncio.open_connection(host, service.address.port)
        ours = Address(*writer.get_extra_info("sockname")[:2])
        writer.write(b"GET /v1/token HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\nConnection: close\r\n\r\n")
        assert parse(await reader.read()).status == 200
        writer.close()
        await writer.wait_closed()
        assert [event.caller for event in service.audit.of(Audited)] == [str(ours)]


async def test_on_a_unix_socket_the_caller_is_the_user_id_the_kernel_tells(tmp_path: Path) -> None:
    async with vending_service(at=Address(path=str(tmp_path / "s"))) as service:
        assert (await service.get("/v1/token")).status == 200
        assert [event.caller for event in service.audit.of(Audited)] == [f"uid:{os.getuid()}"]


async def test_no_audit_is_of_a_token_itself(service: VendingService) -> None:
    await service.get("/v1/token")
    await service.post("/v1/token/rejected", b'{"tokenId": "access-token-one"}')
    assert "access-token" not in repr(service.audit.events)


async def test_a_refused_caller_leaves_no_trace_in_the_audit() -> None:
    settings = GuardSettings(caller_tokens=lambda: CallerTokens([Secret("caller-token")]))
    async with vending_service(settings) as service:
        assert (await service.get("/v1/token")).status == 401
        assert service.audited == []
