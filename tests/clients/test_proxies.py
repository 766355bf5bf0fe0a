"""The proxies of deploy/examples, which put the token on what apps send to them."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeAlias

import pytest

from sidecar.partner.presets import PRESETS
from tests.clients.proxies import PROXIES, nginx
from tests.clients.refuser import Refuser
from tests.clients.site import Partner, Site, site_with
from tests.fakes.commands import START_LIMIT_S
from tests.fakes.programs import needs

PROBE_PATH = PRESETS["pay1st"].probe_path

Proxy: TypeAlias = Callable[[str, str, Path], AbstractContextManager[int]]


@pytest.fixture(params=[pytest.param(name, marks=needs(name)) for name in PROXIES])
def proxy(request: pytest.FixtureRequest) -> Proxy:
    return PROXIES[request.param]


def get(port: int, headers: Mapping[str, str] | None = None, path: str = PROBE_PATH) -> tuple[int, str | None]:
    """Status and `Retry-After`; no answer has the token."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_LIMIT_S)
    try:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        assert b"Bearer" not in answer.read()
        assert "AccessToken" not in answer.headers
        return answer.status, answer.headers["Retry-After"]
    finally:
        connection.close()


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_an_app_without_a_token_reaches_the_partner(way: str, site: Site, folder: Path, proxy: Proxy) -> None:
    server = site.url.removeprefix("http://") if way == "tcp" else f"unix:{site.socket}"
    with proxy(server, site.partner.url, folder) as port:
        assert [get(port) for _ in range(3)] == [(200, None)] * 3
    assert (site.partner.probes(), site.partner.token_calls()) == ({"200": 3}, 1)


def test_what_an_app_sends_does_not_reach_the_sidecar(site: Site, folder: Path, proxy: Proxy) -> None:
    """It would refuse each of these; and the app's own token is replaced."""
    odd = {"X-Forwarded-For": "10.0.0.1", "Via": "1.1 x", "Origin": "http://x", "AccessToken": "Bearer canary"}
    with proxy(f"unix:{site.socket}", site.partner.url, folder) as port:
        assert get(port, odd) == (200, None)


def test_the_partner_gets_the_token_and_the_app_does_not(
    site: Site, folder: Path, refuser: Refuser, proxy: Proxy
) -> None:
    with proxy(f"unix:{site.socket}", refuser.url, folder) as port:
        assert get(port) == (401, None)
    ((path, header, _),) = refuser.seen
    assert path == PROBE_PATH
    assert header is not None
    assert header.startswith("Bearer ")


@needs("nginx")
def test_the_way_that_nginx_asks_is_closed_to_apps(site: Site, folder: Path, refuser: Refuser) -> None:
    with nginx(f"unix:{site.socket}", refuser.url, folder) as port:
        assert get(port, path="/_partner_token") == (404, None)
    assert refuser.seen == []


def test_without_a_token_an_app_is_told_when_to_come_again(partner: Partner, folder: Path, proxy: Proxy) -> None:
    partner.throttles()
    with site_with(partner, folder) as site, proxy(f"unix:{site.socket}", partner.url, folder) as port:
        status, retry_after = get(port)
    assert status == 503
    assert 1 <= int(retry_after or 0) <= 30
    assert partner.probes() == {}


def test_a_token_that_was_reported_is_replaced_for_the_next_request(site: Site, folder: Path, proxy: Proxy) -> None:
    with proxy(f"unix:{site.socket}", site.partner.url, folder) as port:
        token = _token(site)
        site.partner.revoke()
        assert get(port) == (401, None)
        report = ["-H", "Content-Type: application/json", "-d", f'{{"accessToken": "{token}"}}']
        told = site.run("curl", "-sS", "-H", "Sidecar-Request: true", *report, f"{site.url}/v1/token/rejected")
        assert "refreshing" in told.stdout
        assert get(port) == (200, None)
    assert site.partner.token_calls() == 2


def _token(site: Site) -> str:
    headers = ["-H", "Accept: text/plain", "-H", "Sidecar-Request: true"]
    return site.run("curl", "-sS", "--fail", *headers, f"{site.url}/v1/token").stdout.strip()
