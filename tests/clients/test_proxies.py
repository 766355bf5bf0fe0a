"""The proxies of deploy/examples, which add the token to the requests of apps."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TypeAlias

import pytest

from sidecar.partner.presets import PRESETS
from sidecar.partner.response import MAX_TOKEN_CHARS
from tests.clients.long_tokens import LongTokens
from tests.clients.proxies import OF_THE_APPS, PROXIES, envoy, nginx
from tests.clients.refuser import Refuser
from tests.clients.site import CALLER_TOKEN, Partner, Site, site_with
from tests.support.commands import START_LIMIT_S
from tests.support.programs import needs
from tests.support.threaded import in_a_thread

PROBE_PATH = PRESETS["pay1st"].probe_path

Proxy: TypeAlias = Callable[[str, str, Path], AbstractContextManager[int]]


VARIANTS = (*PROXIES, "envoy, path_override")
PROGRAM = {"envoy, path_override": "envoy"}


@pytest.fixture(params=[pytest.param(name, marks=needs(PROGRAM.get(name, name))) for name in VARIANTS])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def proxy(name: str) -> Proxy:
    return partial(envoy, own_path="path_override") if name == "envoy, path_override" else PROXIES[name]


@pytest.fixture
def settings(name: str) -> dict[str, str]:
    """The settings that the sidecar needs for this proxy."""
    return {"SIDECAR_FORWARD_AUTH": "on"} if name.partition(",")[0] in OF_THE_APPS else {}


@pytest.fixture
def site(partner: Partner, folder: Path, settings: dict[str, str]) -> Iterator[Site]:
    with site_with(partner, folder, **settings) as site:
        yield site


def send(
    port: int, headers: Mapping[str, str] | None = None, path: str = PROBE_PATH, method: str = "GET", host: str = ""
) -> tuple[int, str | None]:
    """Return status and `Retry-After`. No response may have the token."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_LIMIT_S)
    sent = {"Host": f"{host or '127.0.0.1'}:{port}", "Sidecar-Request": "true", **(headers or {})}
    try:
        connection.request(method, path, headers={name: value for name, value in sent.items() if value})
        answer = connection.getresponse()
        assert b"Bearer" not in answer.read()
        assert "AccessToken" not in answer.headers
        return answer.status, answer.headers["Retry-After"]
    finally:
        connection.close()


def test_an_app_without_a_token_reaches_the_partner_over_a_unix_socket(site: Site, folder: Path, proxy: Proxy) -> None:
    with proxy(f"unix:{site.socket}", site.partner.url, folder) as port:
        assert [send(port) for _ in range(3)] == [(200, None)] * 3
    assert (site.partner.probes(), site.partner.token_calls()) == ({"200": 3}, 1)


def test_an_app_without_a_token_reaches_the_partner_over_tcp(
    partner: Partner, folder: Path, proxy: Proxy, settings: dict[str, str]
) -> None:
    if settings:
        (folder / "caller-token").write_text(CALLER_TOKEN)
        settings = {**settings, "SIDECAR_CALLER_TOKEN_FILE": str(folder / "caller-token")}
    with (
        site_with(partner, folder, **settings) as site,
        proxy(site.url.removeprefix("http://"), partner.url, folder) as port,
    ):
        assert [send(port) for _ in range(3)] == [(200, None)] * 3
    assert (partner.probes(), partner.token_calls()) == ({"200": 3}, 1)


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
def test_the_partner_gets_the_token_with_any_method_and_the_app_does_not(
    site: Site, folder: Path, refuser: Refuser, proxy: Proxy, method: str
) -> None:
    odd = {"X-Forwarded-For": "10.0.0.1", "Via": "1.1 x", "AccessToken": "Bearer canary", "Authorization": "Bearer x"}
    with proxy(f"unix:{site.socket}", refuser.url, folder) as port:
        assert send(port, odd, path=f"{PROBE_PATH}?a=1&a=2", method=method) == (401, None)
    ((path, header, _),) = refuser.seen
    assert path == f"{PROBE_PATH}?a=1&a=2"
    assert header is not None
    assert header.startswith("Bearer ")
    assert "canary" not in header


@pytest.mark.parametrize(
    ("host", "headers"),
    [
        ("shop.example.com", {}),
        ("127.0.0.1.example.com", {}),
        ("", {"Origin": "https://shop.example.com"}),
        ("", {"Origin": "null"}),
        ("", {"Sec-Fetch-Site": "cross-site"}),
        ("", {"Sec-Fetch-Site": "same-origin"}),
        ("", {"Sidecar-Request": ""}),
        ("", {"Sidecar-Request": "false"}),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_no_request_of_a_page_or_for_a_foreign_host_reaches_the_partner(
    site: Site, folder: Path, refuser: Refuser, proxy: Proxy, host: str, headers: dict[str, str], method: str
) -> None:
    with proxy(f"unix:{site.socket}", refuser.url, folder) as port:
        status, _ = send(port, headers, method=method, host=host)
    assert status in (403, 404)
    assert refuser.seen == []


@needs("nginx")
def test_apps_cannot_use_the_internal_path_of_nginx(partner: Partner, folder: Path, refuser: Refuser) -> None:
    with site_with(partner, folder) as site, nginx(f"unix:{site.socket}", refuser.url, folder) as port:
        assert send(port, path="/_partner_token") == (404, None)
    assert refuser.seen == []


def test_without_a_token_an_app_gets_a_time_to_retry(
    partner: Partner, folder: Path, name: str, proxy: Proxy, settings: dict[str, str]
) -> None:
    partner.throttles()
    with site_with(partner, folder, **settings) as site, proxy(f"unix:{site.socket}", partner.url, folder) as port:
        status, retry_after = send(port)
    assert status == 503
    if not name.startswith("envoy"):  # Envoy passes on no header of a 5xx
        assert 1 <= int(retry_after or 0) <= 30
    assert partner.probes() == {}


def test_without_a_sidecar_nothing_reaches_the_partner(folder: Path, refuser: Refuser, proxy: Proxy) -> None:
    with proxy(f"unix:{folder}/absent.sock", refuser.url, folder) as port:
        assert send(port)[0] >= 500
    assert refuser.seen == []


def test_the_longest_possible_token_fits(
    folder: Path, refuser: Refuser, proxy: Proxy, settings: dict[str, str]
) -> None:
    with (
        in_a_thread(LongTokens()) as partner,
        site_with(Partner(partner.url), folder, **settings) as site,
        proxy(f"unix:{site.socket}", refuser.url, folder) as port,
    ):
        assert send(port) == (401, None)
    ((_, header, _),) = refuser.seen
    assert header is not None
    assert len(header) == len("Bearer ") + MAX_TOKEN_CHARS


def test_a_reported_token_is_replaced_for_the_next_request(site: Site, folder: Path, proxy: Proxy) -> None:
    with proxy(f"unix:{site.socket}", site.partner.url, folder) as port:
        token = _token(site)
        site.partner.revoke()
        assert send(port) == (401, None)
        report = ["-H", "Content-Type: application/json", "-d", f'{{"accessToken": "{token}"}}']
        reported = site.run("curl", "-sS", "-H", "Sidecar-Request: true", *report, f"{site.url}/v1/token/rejected")
        assert "refreshing" in reported.stdout
        assert send(port) == (200, None)
    assert site.partner.token_calls() == 2


def _token(site: Site) -> str:
    headers = ["-H", "Accept: text/plain", "-H", "Sidecar-Request: true"]
    return site.run("curl", "-sS", "--fail", *headers, f"{site.url}/v1/token").stdout.strip()
