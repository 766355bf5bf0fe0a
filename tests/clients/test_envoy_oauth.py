"""Envoy's OAuth injector, an OAuth client that sends X-Forwarded-For and keeps its token."""

from __future__ import annotations

from pathlib import Path

from tests.clients.proxies import envoy_oauth
from tests.clients.site import CALLER_TOKEN, Partner, Site, site_with
from tests.clients.test_proxies import send
from tests.sentinels import wait_until
from tests.support.commands import START_LIMIT_S
from tests.support.programs import needs

pytestmark = needs("envoy")


def reaches_the_partner(site: Site, server: str, folder: Path) -> None:
    with envoy_oauth(server, site.partner.url, folder) as port:
        wait_until(lambda: send(port)[0] == 200, START_LIMIT_S)
        # The partner accepts only GET here, and only with a token.
        assert send(port, {"AccessToken": "Bearer canary"}, method="POST")[0] == 405
        assert send(port, host="shop.example.com")[0] == 404
        assert send(port, {"Origin": "https://shop.example.com"})[0] == 404
        assert send(port, {"Sidecar-Request": ""})[0] == 404
    assert site.partner.probes() == {"200": 1, "405": 1}
    assert site.partner.token_calls() == 1


def test_over_a_unix_socket(partner: Partner, folder: Path) -> None:
    with site_with(partner, folder, SIDECAR_FORWARD_AUTH="on") as site:
        reaches_the_partner(site, f"unix:{site.socket}", folder)


def test_over_tcp_with_the_caller_token_as_its_secret(partner: Partner, folder: Path) -> None:
    (folder / "caller-token").write_text(CALLER_TOKEN)
    settings = {"SIDECAR_FORWARD_AUTH": "on", "SIDECAR_CALLER_TOKEN_FILE": str(folder / "caller-token")}
    with site_with(partner, folder, **settings) as site:
        reaches_the_partner(site, site.url.removeprefix("http://"), folder)
