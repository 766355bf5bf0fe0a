"""deploy/examples/nginx.conf in a real nginx: only its addresses are others."""

from __future__ import annotations

import getpass
import http.client
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import certifi
import pytest

from sidecar.partner.presets import PRESETS
from tests.clients.refuser import Refuser
from tests.clients.site import EXAMPLES, Partner, Site, site_with
from tests.fakes.commands import START_LIMIT_S, wait_for
from tests.fakes.programs import found, needs
from tests.servers import free_port

NGINX = found("nginx")
PROBE_PATH = PRESETS["pay1st"].probe_path

pytestmark = needs("nginx")


@contextmanager
def nginx(server: str, partner_url: str, folder: Path) -> Iterator[int]:
    """Runs until the end of the block; its port."""
    port = free_port()
    example = (EXAMPLES / "nginx.conf").read_text()
    for theirs, ours in {
        "server unix:/run/token-sidecar/sidecar.sock;": f"server {server};",
        "listen 127.0.0.1:8080;": f"listen 127.0.0.1:{port};",
        "proxy_pass https://api-gateway.carry1st.com;": f"proxy_pass {partner_url};",
        "/etc/ssl/certs/ca-certificates.crt": certifi.where(),
    }.items():
        assert example.count(theirs) == 1, theirs
        example = example.replace(theirs, ours)
    (folder / "example.conf").write_text(example)
    (folder / "nginx.conf").write_text(_around(folder))
    assert NGINX is not None
    argv = [NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_for("(start worker process) ", running.stderr)
            yield port
        finally:
            running.terminate()


def _around(folder: Path) -> str:
    """What a distribution's own nginx.conf would hold; nothing is written outside the folder."""
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        # "user" means something to root alone, whose workers could not reach the socket otherwise.
        f"user {getpass.getuser()}; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr notice;"
        f"events {{}} http {{ access_log off; {paths} include {folder}/example.conf; }}"
    )


def get(port: int, headers: Mapping[str, str] | None = None) -> tuple[int, str | None]:
    """Status and `Retry-After`."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_LIMIT_S)
    try:
        connection.request("GET", PROBE_PATH, headers=dict(headers or {}))
        answer = connection.getresponse()
        answer.read()
        return answer.status, answer.headers["Retry-After"]
    finally:
        connection.close()


@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_an_app_without_a_token_reaches_the_partner(way: str, site: Site, folder: Path) -> None:
    server = site.url.removeprefix("http://") if way == "tcp" else f"unix:{site.socket}"
    with nginx(server, site.partner.url, folder) as port:
        assert [get(port) for _ in range(3)] == [(200, None)] * 3
    assert (site.partner.probes(), site.partner.token_calls()) == ({"200": 3}, 1)


def test_what_an_app_sends_does_not_reach_the_sidecar(site: Site, folder: Path) -> None:
    """It would refuse each of these; and the app's own token is replaced."""
    odd = {"X-Forwarded-For": "10.0.0.1", "Via": "1.1 x", "Origin": "http://x", "AccessToken": "Bearer canary"}
    with nginx(f"unix:{site.socket}", site.partner.url, folder) as port:
        assert get(port, odd) == (200, None)


def test_the_token_is_there_for_the_partner_alone(site: Site, folder: Path, refuser: Refuser) -> None:
    with nginx(f"unix:{site.socket}", refuser.url, folder) as port:
        assert get(port) == (401, None)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=START_LIMIT_S)
        connection.request("GET", "/_partner_token")
        answer = connection.getresponse()
        assert (answer.status, answer.headers["AccessToken"]) == (404, None)
        connection.close()
    ((path, header, _),) = refuser.seen
    assert path == PROBE_PATH
    assert header is not None
    assert header.startswith("Bearer ")


def test_without_a_token_an_app_is_told_when_to_come_again(partner: Partner, folder: Path) -> None:
    partner.throttles()
    with site_with(partner, folder) as site, nginx(f"unix:{site.socket}", partner.url, folder) as port:
        status, retry_after = get(port)
    assert status == 503
    assert 1 <= int(retry_after or 0) <= 30
    assert partner.probes() == {}


def test_a_token_that_was_reported_is_replaced_for_the_next_request(site: Site, folder: Path) -> None:
    with nginx(f"unix:{site.socket}", site.partner.url, folder) as port:
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
