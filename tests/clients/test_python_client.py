"""`sidecar.client`: both auth classes with a real sidecar and a partner that rejects tokens."""

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
    """One way to send a request; `send` returns the status."""

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


def test_a_rejected_token_is_reported_and_the_next_one_works(client: Client, site: Site) -> None:
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


def test_without_another_token_the_app_gets_the_rejection(
    client: Client, partner: Partner, folder: Path, refuser: Refuser
) -> None:
    with site_with(partner, folder, SIDECAR_CALL_BUDGET="1/60") as site:
        assert client.send(site.url, refuser.url) == 401
    assert (len(refuser.seen), partner.token_calls()) == (1, 1)


@pytest.mark.parametrize(("name", "sent"), [("httpx", 2), ("httpx-async", 2), ("aiohttp", 1)])
def test_a_stream_is_sent_again_whole_or_not_at_all(name: str, sent: int, site: Site, refuser: Refuser) -> None:
    assert CLIENTS[name].send(site.url, refuser.url, body=[b"one", b"two"]) == 401
    assert [body for _, _, body in refuser.seen] == [b"onetwo"] * sent


def test_a_missing_token_is_an_error_with_cause_and_time_to_retry(
    client: Client, partner: Partner, folder: Path
) -> None:
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


def test_during_a_cool_down_after_the_report_the_app_gets_the_rejection(client: Client, site: Site) -> None:
    """The sidecar has only the old token, and the partner has just rejected it."""
    assert client.send(site.url, site.partner.probe_url) == 200
    site.partner.revoke()
    site.partner.throttles()
    assert client.send(site.url, site.partner.probe_url) == 401
    assert site.partner.probes() == {"200": 1, "401": 1}


def test_a_sidecar_that_requires_a_caller_token_gets_it(client: Client, locked_site: Site) -> None:
    with pytest.raises(TokenUnavailableError, match="caller-not-allowed") as caught:
        client.send(locked_site.url, locked_site.partner.probe_url, caller_token="canary-wrong")
    assert "canary" not in str(caught.value)
    content = f"\ufeff{CALLER_TOKEN}\r\nnext-caller-token\r\n"
    assert client.send(locked_site.url, locked_site.partner.probe_url, caller_token=content) == 200
    locked_site.partner.revoke()
    assert client.send(locked_site.url, locked_site.partner.probe_url, caller_token=CALLER_TOKEN) == 200
    assert locked_site.partner.probes() == {"200": 2, "401": 1}


def test_a_unix_socket_works_too(client: Client, site: Site) -> None:
    assert client.send(f"unix:{site.socket}", site.partner.probe_url) == 200


def test_the_token_is_of_the_requested_profile(client: Client, site: Site) -> None:
    assert client.send(site.url, site.partner.probe_url, profile="default") == 200
    with pytest.raises(TokenUnavailableError, match="unknown-profile"):
        client.send(site.url, site.partner.probe_url, profile="other")


def test_no_proxy_is_used_between_the_app_and_its_sidecar(client: Client, site: Site, refuser: Refuser) -> None:
    assert client.send(site.url, "http://partner.invalid/pay", proxy=refuser.url) == 401
    assert [path for path, _, _ in refuser.seen] == ["http://partner.invalid/pay"] * 2


def test_a_server_that_is_no_sidecar_is_reported_as_such(client: Client, refuser: Refuser) -> None:
    with pytest.raises(TokenUnavailableError, match="the 401 response is not from a sidecar"):
        client.send(refuser.url, "http://partner.invalid")


def test_the_connection_is_free_again_after_the_first_rejection(site: Site, refuser: Refuser) -> None:
    """An app with a limit of one connection must not wait for its own first request."""

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
        for part in (auth(caller_token="canary"), requests, header, requests.headers("GET"), requests.rejected(header))
    ]
    assert "canary" in requests.headers("GET").headers["Authorization"]
    assert "canary" not in "".join(shown)


UNUSABLE = [
    *((url, "") for url in ("https://127.0.0.1", "127.0.0.1:8181", "http://canary:canary@127.0.0.1", "http://[", "")),
    *(("http://127.0.0.1:8181", caller_token) for caller_token in ("canary\rX: y", "canary\0\nnext", "canary-ü")),
]


@pytest.mark.parametrize(("url", "caller_token"), UNUSABLE)
@pytest.mark.parametrize("auth", [HttpxAuth, AiohttpAuth])
def test_unusable_arguments_are_refused_without_quoting_them(
    auth: type[HttpxAuth | AiohttpAuth], url: str, caller_token: str
) -> None:
    with pytest.raises(ValueError, match=r"must be") as caught:
        auth(url, caller_token=caller_token)
    assert "canary" not in str(caught.value)
