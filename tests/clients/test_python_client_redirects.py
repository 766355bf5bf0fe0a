"""`sidecar.client` while redirects are followed: only the origin that the app called gets the token."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeAlias

import aiohttp
import httpx
import pytest

from sidecar.client.aiohttp import SidecarAuth as AiohttpAuth
from sidecar.client.httpx import SidecarAuth as HttpxAuth
from tests.clients.redirector import Redirector
from tests.clients.site import Site

Send: TypeAlias = Callable[..., int]
STATUSES = [301, 302, 303, 307, 308]


def _httpx(sidecar: str, url: str, body: bytes = b"", **options: Any) -> int:  # noqa: ANN401 - the library's own arguments
    with httpx.Client(auth=HttpxAuth(sidecar), follow_redirects=True, trust_env=False, **options) as client:
        return client.request("POST" if body else "GET", url, content=body).status_code


def _httpx_async(sidecar: str, url: str, body: bytes = b"", **options: Any) -> int:  # noqa: ANN401 - the library's own arguments
    async def send() -> int:
        auth = HttpxAuth(sidecar)
        async with httpx.AsyncClient(auth=auth, follow_redirects=True, trust_env=False, **options) as client:
            return (await client.request("POST" if body else "GET", url, content=body)).status_code

    return asyncio.run(send())


def _aiohttp(sidecar: str, url: str, body: bytes = b"", **options: Any) -> int:  # noqa: ANN401 - the library's own arguments
    async def send() -> int:
        async with (
            aiohttp.ClientSession(middlewares=[AiohttpAuth(sidecar)], **options) as session,
            session.request("POST" if body else "GET", url, data=body or None) as response,
        ):
            return response.status

    return asyncio.run(send())


@pytest.fixture(params=[_httpx, _httpx_async, _aiohttp], ids=["httpx", "httpx-async", "aiohttp"])
def send(request: pytest.FixtureRequest) -> Send:
    found: Send = request.param
    return found


@pytest.mark.parametrize("status", STATUSES)
def test_a_redirect_to_another_port_is_followed_without_the_token(
    status: int, send: Send, site: Site, origin: Redirector, other: Redirector
) -> None:
    origin.locations["/go"] = status, f"{other.url}/here"
    assert send(site.url, f"{origin.url}/go", b"body") == 200
    assert (origin.tokens, other.tokens) == ([True], [False])
    kept = status in (307, 308)
    assert [(seen.method, seen.body) for seen in other.seen] == [("POST", b"body") if kept else ("GET", b"")]


def test_another_name_of_the_same_machine_is_another_origin(send: Send, site: Site, origin: Redirector) -> None:
    origin.locations["/go"] = 302, f"http://localhost:{origin.server_port}/here"
    assert send(site.url, f"{origin.url}/go") == 200
    assert origin.tokens == [True, False]


def test_a_rejection_by_another_origin_is_neither_reported_nor_tried_again(
    send: Send, site: Site, origin: Redirector, other: Redirector
) -> None:
    origin.locations["/go"] = 307, f"{other.url}/here"
    other.status = 401
    assert send(site.url, f"{origin.url}/go") == 401
    assert (origin.tokens, other.tokens, site.partner.token_calls()) == ([True], [False], 1)


@pytest.mark.parametrize("location", ["/here", "{url}/here", "here"])
def test_redirects_within_the_origin_keep_the_token(location: str, send: Send, site: Site, origin: Redirector) -> None:
    origin.locations["/go"] = 302, location.format(url=origin.url)
    assert send(site.url, f"{origin.url}/go") == 200
    assert [(seen.target, seen.token is not None) for seen in origin.seen] == [("/go", True), ("/here", True)]


def test_a_chain_of_redirects_has_the_token_only_at_the_origin(
    send: Send, site: Site, origin: Redirector, other: Redirector
) -> None:
    origin.locations["/go"] = 302, f"{other.url}/one"
    other.locations["/one"] = 302, "/two"
    other.locations["/two"] = 302, f"{origin.url}/back"
    assert send(site.url, f"{origin.url}/go") == 200
    assert (other.tokens, origin.tokens) == ([False, False], [True, True])


def test_after_a_redirect_only_the_rejected_request_is_tried_again(send: Send, site: Site, origin: Redirector) -> None:
    origin.locations["/pay"] = 303, "/receipt"
    origin.status = 401
    assert send(site.url, f"{origin.url}/pay", b"once") == 401
    assert [(seen.method, seen.target) for seen in origin.seen] == [
        ("POST", "/pay"), ("GET", "/receipt"), ("GET", "/receipt"),
    ]  # fmt: skip
    first, second, third = (seen.token for seen in origin.seen)
    assert first == second != third
    assert site.partner.token_calls() == 2


def test_through_a_proxy_the_origin_is_that_of_the_destination(send: Send, site: Site, other: Redirector) -> None:
    other.locations["http://one.invalid/go"] = 302, "http://one.invalid/here"
    other.locations["http://one.invalid/here"] = 302, "http://two.invalid/there"
    assert send(site.url, "http://one.invalid/go", proxy=other.url) == 200
    assert [(seen.target, seen.token is not None) for seen in other.seen] == [
        ("http://one.invalid/go", True), ("http://one.invalid/here", True), ("http://two.invalid/there", False),
    ]  # fmt: skip


def test_the_next_request_of_the_app_has_the_token_again(site: Site, origin: Redirector, other: Redirector) -> None:
    """Also a request to the target of the latest redirect."""
    origin.locations["/go"] = 302, f"{other.url}/here"

    async def send() -> None:
        async with aiohttp.ClientSession(middlewares=[AiohttpAuth(site.url)]) as session:
            for url in (f"{origin.url}/go", f"{other.url}/direct"):
                async with session.get(url) as response:
                    assert response.status == 200

    asyncio.run(send())
    assert (origin.tokens, other.tokens) == ([True], [False, True])


def test_a_copy_of_the_headers_keeps_the_token(site: Site, origin: Redirector) -> None:
    """Instrumentation makes such a copy, to add headers of its own."""

    def replace(request: httpx.Request) -> None:
        request.headers = httpx.Headers(request.headers)

    assert _httpx(site.url, origin.url, event_hooks={"request": [replace]}) == 200
    assert origin.tokens == [True]


def test_the_token_can_be_read_by_name_and_is_in_no_listing(site: Site, origin: Redirector) -> None:
    shown: list[str] = []

    def look(request: httpx.Request) -> None:
        shown.extend([request.headers["accesstoken"], repr(request.headers), str(dict(request.headers))])

    assert _httpx(site.url, origin.url, event_hooks={"request": [look]}) == 200
    token, *others = shown
    assert token == origin.seen[0].token
    assert token.removeprefix("Bearer ") not in "".join(others)


def test_the_token_replaces_the_apps_own_header(site: Site, origin: Redirector) -> None:
    assert _httpx(site.url, origin.url, headers={"accesstoken": "Bearer mine"}) == 200
    (seen,) = origin.seen
    assert "mine" not in (seen.token or "")


def test_another_transport_gets_the_token_and_no_redirect_has_it(site: Site) -> None:
    """Such as a transport for tests of an app."""
    seen: list[tuple[str, bool]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        raw = [name.lower() for name, _ in request.headers.raw]
        seen.append((request.url.host, "AccessToken" in request.headers and b"accesstoken" in raw))
        here = request.url.host == "one.invalid"
        return httpx.Response(302, headers={"Location": "http://two.invalid"}) if here else httpx.Response(200)

    assert _httpx(site.url, "http://one.invalid", transport=httpx.MockTransport(answer)) == 200
    assert seen == [("one.invalid", True), ("two.invalid", False)]


def test_the_apps_own_trace_goes_on(site: Site, origin: Redirector) -> None:
    events: list[str] = []

    async def traced(event: str, _info: dict[str, Any]) -> None:
        events.append(event)

    async def send() -> int:
        async with httpx.AsyncClient(auth=HttpxAuth(site.url), trust_env=False) as client:
            return (await client.get(origin.url, extensions={"trace": traced})).status_code

    with httpx.Client(auth=HttpxAuth(site.url), trust_env=False) as client:
        assert client.get(origin.url, extensions={"trace": lambda event, _: events.append(event)}).status_code == 200
    assert asyncio.run(send()) == 200
    assert events.count("http11.send_request_headers.started") == 2
    assert origin.tokens == [True, True]
