"""`sidecar.client`: both auth classes against a real sidecar and a partner that refuses tokens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import pytest

from sidecar.client.aiohttp import SidecarAuth as AiohttpAuth
from sidecar.client.errors import TokenUnavailableError
from sidecar.client.httpx import SidecarAuth as HttpxAuth
from sidecar.client.requests import PartnerHeader, SidecarRequests
from tests.clients.refuser import Refuser
from tests.clients.site import CALLER_TOKEN, Partner, Site, site_with
from tests.support.commands import START_LIMIT_S


class Client:
    """One of the ways to send a request; `send` answers the status."""

    def __init__(self, auth: type[HttpxAuth | AiohttpAuth], send: Callable[..., int]) -> None:
        self.auth, self._send = auth, send

    def send(
        self,
        sidecar_url: str,
        url: str,
        *,
        body: object = None,
        proxy: str | None = None,
        **auth: Any,  # noqa: ANN401 - the arguments of both classes
    ) -> int:
        return self._send(self.auth(sidecar_url, **auth), url, body, proxy)


def _httpx(auth: HttpxAuth, url: str, body: object, proxy: str | None) -> int:
    content = (part for part in body) if isinstance(body, list) else body
    with httpx.Client(auth=auth, proxy=proxy, trust_env=False) as client:
        return client.request("POST" if body else "GET", url, content=content).status_code  # type: ignore[arg-type]


def _httpx_async(auth: HttpxAuth, url: str, body: object, proxy: str | None) -> int:
    async def send() -> int:
        content = _stream(body) if isinstance(body, list) else body
        async with httpx.AsyncClient(auth=auth, proxy=proxy, trust_env=False) as client:
            response = await client.request("POST" if body else "GET", url, content=content)  # type: ignore[arg-type]
            return response.status_code

    return asyncio.run(send())


def _aiohttp(auth: AiohttpAuth, url: str, body: object, proxy: str | None) -> int:
    async def send() -> int:
        data = _stream(body) if isinstance(body, list) else body
        async with (
            aiohttp.ClientSession(middlewares=[auth], proxy=proxy) as session,
            session.request("POST" if body else "GET", url, data=data) as response,
        ):
            return response.status

    return asyncio.run(send())


async def _stream(parts: list[bytes]) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


CLIENTS = {
    "httpx": Client(HttpxAuth, _httpx),
    "httpx-async": Client(HttpxAuth, _httpx_async),
    "aiohttp": Client(AiohttpAuth, _aiohttp),
}


@pytest.fixture(params=list(CLIENTS))
def client(request: pytest.FixtureRequest) -> Client:
    return CLIENTS[request.param]


def test_the_partner_gets_the_token_in_the_header_it_expects(client: Client, site: Site) -> None:
    assert client.send(site.url, site.partner.probe_url) == 200
    assert (site.partner.probes(), site.partner.token_calls()) == ({"200": 1}, 1)


def test_a_refused_token_is_reported_and_the_next_one_works(client: Client, site: Site) -> None:
    assert client.send(site.url, site.partner.probe_url) == 200
    site.partner.revoke()
    assert client.send(site.url, site.partner.probe_url) == 200
    assert (site.partner.probes(), site.partner.token_calls()) == ({"200": 2, "401": 1}, 2)


def test_a_request_is_never_sent_a_third_time(client: Client, site: Site, refuser: Refuser) -> None:
    assert client.send(site.url, f"{refuser.url}/pay", body=b"once") == 401
    assert [(path, body) for path, _, body in refuser.seen] == [("/pay", b"once")] * 2
    first, second = (token for _, token, _ in refuser.seen)
    assert first != second
    assert site.partner.token_calls() == 2


def test_without_another_token_the_refusal_stands(
    client: Client, partner: Partner, folder: Path, refuser: Refuser
) -> None:
    with site_with(partner, folder, SIDECAR_CALL_BUDGET="1/60") as site:
        assert client.send(site.url, refuser.url) == 401
    assert (len(refuser.seen), partner.token_calls()) == (1, 1)


@pytest.mark.parametrize(("name", "sent"), [("httpx", 2), ("httpx-async", 2), ("aiohttp", 1)])
def test_a_stream_is_sent_again_whole_or_not_at_all(name: str, sent: int, site: Site, refuser: Refuser) -> None:
    assert CLIENTS[name].send(site.url, refuser.url, body=[b"one", b"two"]) == 401
    assert [body for _, _, body in refuser.seen] == [b"onetwo"] * sent


def test_no_token_is_an_error_that_says_why_and_how_long(client: Client, partner: Partner, folder: Path) -> None:
    partner.throttles()
    with site_with(partner, folder) as site, pytest.raises(TokenUnavailableError) as caught:
        client.send(site.url, partner.probe_url)
    error = caught.value
    assert (error.status, error.code) == (503, "partner-cooling-down")
    assert error.retry_after_s is not None
    assert 1 <= error.retry_after_s <= 30
    assert str(error) == (
        f"the sidecar has no token to give: partner-cooling-down (503); try again in {error.retry_after_s} s"
    )
    assert partner.probes() == {}


def test_a_cool_down_after_the_report_is_the_refusal_of_before(client: Client, site: Site) -> None:
    """The old token is all there is, and the partner has just refused it."""
    assert client.send(site.url, site.partner.probe_url) == 200
    site.partner.revoke()
    site.partner.throttles()
    assert client.send(site.url, site.partner.probe_url) == 401
    assert site.partner.probes() == {"200": 1, "401": 1}


def test_a_sidecar_that_wants_a_caller_token_is_given_it(client: Client, locked_site: Site) -> None:
    with pytest.raises(TokenUnavailableError, match="caller-not-allowed") as caught:
        client.send(locked_site.url, locked_site.partner.probe_url, caller_token="canary-wrong")
    assert "canary" not in str(caught.value)
    content = f"\ufeff{CALLER_TOKEN}\r\nnext-caller-token\r\n"
    assert client.send(locked_site.url, locked_site.partner.probe_url, caller_token=content) == 200
    locked_site.partner.revoke()
    assert client.send(locked_site.url, locked_site.partner.probe_url, caller_token=CALLER_TOKEN) == 200
    assert locked_site.partner.probes() == {"200": 2, "401": 1}


def test_a_unix_socket_does_as_well(client: Client, site: Site) -> None:
    assert client.send(f"unix:{site.socket}", site.partner.probe_url) == 200


def test_the_profile_is_the_one_asked_for(client: Client, site: Site) -> None:
    assert client.send(site.url, site.partner.probe_url, profile="default") == 200
    with pytest.raises(TokenUnavailableError, match="unknown-profile"):
        client.send(site.url, site.partner.probe_url, profile="other")


def test_no_proxy_stands_between_the_app_and_its_sidecar(client: Client, site: Site, refuser: Refuser) -> None:
    assert client.send(site.url, "http://partner.invalid/pay", proxy=refuser.url) == 401
    assert [path for path, _, _ in refuser.seen] == ["http://partner.invalid/pay"] * 2


def test_what_is_no_sidecar_is_told_so(client: Client, refuser: Refuser) -> None:
    with pytest.raises(TokenUnavailableError, match="the 401 response is not from a sidecar"):
        client.send(refuser.url, "http://partner.invalid")


def test_the_connection_is_free_again_after_the_first_refusal(site: Site, refuser: Refuser) -> None:
    """An app that allows itself one connection must not wait for itself."""

    async def send() -> int:
        connector = aiohttp.TCPConnector(limit=1)
        limit = aiohttp.ClientTimeout(total=START_LIMIT_S)
        auth = AiohttpAuth(site.url)
        async with (
            aiohttp.ClientSession(connector=connector, timeout=limit, middlewares=[auth]) as session,
            session.get(refuser.url) as response,
        ):
            return response.status

    assert asyncio.run(send()) == 401
    assert len(refuser.seen) == 2


@pytest.mark.parametrize("auth", [HttpxAuth, AiohttpAuth])
def test_no_repr_shows_a_secret(auth: type[HttpxAuth | AiohttpAuth]) -> None:
    requests = SidecarRequests(caller_token="canary")
    header = PartnerHeader("AccessToken", "Bearer canary")
    shown = [
        repr(part)
        for part in (auth(caller_token="canary"), requests, header, requests.header(), requests.rejected(header))
    ]
    assert "canary" in requests.header().headers["Authorization"]
    assert "canary" not in "".join(shown)


UNUSABLE = [
    *((url, "") for url in ("https://127.0.0.1", "127.0.0.1:8181", "http://canary:canary@127.0.0.1", "http://[", "")),
    *(("http://127.0.0.1:8181", caller_token) for caller_token in ("canary\rX: y", "canary\0\nnext", "canary-ü")),
]


@pytest.mark.parametrize(("url", "caller_token"), UNUSABLE)
@pytest.mark.parametrize("auth", [HttpxAuth, AiohttpAuth])
def test_what_cannot_be_used_is_refused_unquoted(
    auth: type[HttpxAuth | AiohttpAuth], url: str, caller_token: str
) -> None:
    with pytest.raises(ValueError, match=r"must be") as caught:
        auth(url, caller_token=caller_token)
    assert "canary" not in str(caught.value)
