"""The files of deploy/examples, run as their first lines describe, and curl as in the README."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.clients.redirector import Redirector
from tests.clients.site import CALLER_TOKEN, EXAMPLES, TOP, Partner, Site, signing_site, site_with
from tests.support.flood import flooding
from tests.support.programs import needs
from tests.support.threaded import in_a_thread

COMMANDS = [
    pytest.param(("sh", EXAMPLES / "token.sh"), id="sh", marks=needs("curl")),
    pytest.param(("node", EXAMPLES / "client.mjs"), id="node", marks=needs("node")),
    pytest.param((sys.executable, EXAMPLES / "client.py"), id="python"),
]
OAUTH_CLIENTS = ["python", pytest.param("go", marks=needs("go"))]
GOCODE = "/usr/share/gocode"
"""Where Debian's packages put Go's libraries."""
EMPTY_LIST = '{"items": []}\n'

Command = tuple[str, Path]
OAuthClient = tuple[str | Path, ...]


@pytest.fixture(params=COMMANDS)
def command(request: pytest.FixtureRequest) -> Command:
    found: Command = request.param
    return found


@pytest.fixture(scope="session")
def built_by_go(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("go")
    environ = {"GOPATH": GOCODE, "GOCACHE": str(folder / "cache"), "GO111MODULE": "off", "CGO_ENABLED": "0"}
    subprocess.run(
        ["go", "build", "-o", folder / "oauth_client", EXAMPLES / "oauth_client.go"],
        env={"PATH": os.environ.get("PATH", os.defpath), **environ},
        check=True,
    )
    return folder / "oauth_client"


@pytest.fixture(params=OAUTH_CLIENTS)
def oauth_client(request: pytest.FixtureRequest) -> OAuthClient:
    if request.param == "go":
        return (request.getfixturevalue("built_by_go"),)
    return (sys.executable, EXAMPLES / "oauth_client.py")


def test_it_prints_what_the_partner_answered(command: Command, site: Site) -> None:
    done = site.run(*command)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, EMPTY_LIST.strip(), "")
    assert site.partner.probes() == {"200": 1}


def test_it_works_over_the_unix_socket(command: Command, site: Site) -> None:
    done = site.run(*command, url=f"unix:{site.socket}")
    assert (done.returncode, done.stderr) == (0, "")


def test_after_a_rejection_the_next_token_works(command: Command, site: Site) -> None:
    site.run(*command)
    site.partner.revoke()
    done = site.run(*command)
    assert (done.returncode, done.stdout.strip(), done.stderr) == (0, EMPTY_LIST.strip(), "")
    assert (site.partner.probes(), site.partner.token_calls()) == ({"200": 2, "401": 1}, 2)


def test_without_another_token_it_does_not_try_again(command: Command, partner: Partner, folder: Path) -> None:
    with site_with(partner, folder, SIDECAR_CALL_BUDGET="1/60") as site:
        site.run(*command)
        partner.revoke()
        done = site.run(*command)
    assert done.returncode == 1
    assert "the partner answered 401" in done.stderr
    assert (partner.probes(), partner.token_calls()) == ({"200": 1, "401": 1}, 1)


def test_a_missing_token_is_reported_with_its_code(command: Command, partner: Partner, folder: Path) -> None:
    partner.throttles()
    with site_with(partner, folder) as site:
        done = site.run(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "partner-cooling-down" in done.stderr
    assert "Traceback" not in done.stderr
    assert partner.probes() == {}


def test_it_sends_the_caller_token(command: Command, locked_site: Site) -> None:
    done = locked_site.run(*command)
    assert done.returncode == 1
    assert "caller-not-allowed" in done.stderr
    assert locked_site.run(*command, TOKEN_SIDECAR_CALLER=CALLER_TOKEN).returncode == 0
    locked_site.partner.revoke()
    done = locked_site.run(*command, TOKEN_SIDECAR_CALLER=CALLER_TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert locked_site.partner.probes() == {"200": 2, "401": 1}


@pytest.mark.parametrize("status", [302, 307])
def test_only_the_partner_gets_the_token(command: Command, status: int, site: Site) -> None:
    with in_a_thread(Redirector()) as partner, in_a_thread(Redirector()) as other:
        partner.locations["/go"] = status, f"{other.url}/here"
        done = site.run(*command, PARTNER_URL=f"{partner.url}/go")
        assert (partner.tokens, other.tokens) == ([True], [])
    assert (done.returncode, f"the partner answered {status}" in done.stderr) == (1, True)


@pytest.mark.parametrize("status", [302, 307])
def test_only_the_partner_gets_an_oauth_clients_token(
    oauth_client: OAuthClient, status: int, locked_site: Site
) -> None:
    with in_a_thread(Redirector()) as partner, in_a_thread(Redirector()) as other:
        partner.locations["/go"] = status, f"{other.url}/here"
        locked_site.run(*oauth_client, TOKEN_SIDECAR_CALLER=CALLER_TOKEN, PARTNER_URL=f"{partner.url}/go")
        assert (partner.tokens, other.tokens) == ([True], [])


def test_of_a_server_that_is_no_sidecar_only_printable_characters_are_written(command: Command, site: Site) -> None:
    body = b'{"code": "\\u001b]0;x\\u0007", "detail": "\x1b]0;x\x07\x9b"}'
    head = f"HTTP/1.1 503 No\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode()
    with flooding(head + body) as flood:
        done = site.run(*command, url=f"http://127.0.0.1:{flood.port}")
    assert done.returncode == 1
    assert "no token" in done.stderr
    assert all(char == "\n" or " " <= char <= "~" for char in done.stdout + done.stderr)


def test_an_oauth_client_gets_the_token_with_the_caller_token_as_its_secret(
    oauth_client: OAuthClient, locked_site: Site
) -> None:
    done = locked_site.run(*oauth_client, TOKEN_SIDECAR_CALLER=CALLER_TOKEN)
    assert (done.returncode, done.stdout, done.stderr) == (0, EMPTY_LIST, "")
    assert locked_site.partner.probes() == {"200": 1}


def test_an_oauth_client_reports_a_rejected_token_and_the_next_one_works(
    oauth_client: OAuthClient, locked_site: Site
) -> None:
    locked_site.run(*oauth_client, TOKEN_SIDECAR_CALLER=CALLER_TOKEN)
    locked_site.partner.revoke()
    done = locked_site.run(*oauth_client, TOKEN_SIDECAR_CALLER=CALLER_TOKEN)
    assert (done.returncode, done.stderr) == (0, "")
    assert (locked_site.partner.probes(), locked_site.partner.token_calls()) == ({"200": 2, "401": 1}, 2)


def test_an_oauth_client_with_another_secret_gets_the_error_of_the_protocol(
    oauth_client: OAuthClient, locked_site: Site
) -> None:
    done = locked_site.run(*oauth_client, TOKEN_SIDECAR_CALLER="canary-wrong")
    assert (done.returncode, done.stdout) == (1, "")
    assert "invalid_client" in done.stderr
    assert "canary" not in done.stderr


def test_the_example_of_a_signed_payment_creates_one(partner: Partner, folder: Path) -> None:
    page = (TOP / "deploy/README.md").read_text()
    example = re.search(r"^    import httpx\n(?:    .*\n|\n)+", page, re.MULTILINE)
    assert example is not None
    code = textwrap.dedent(example[0]).replace("https://api-gateway.carry1st.com", partner.url)
    with signing_site(partner, folder) as site:
        done = site.run(sys.executable, "-c", code.replace("SidecarAuth(", f"SidecarAuth({site.url!r}, "))
    assert (done.returncode, done.stderr) == (0, "")
    assert "'partnerReference': 'order-1'" in done.stdout
    assert partner.requests() == [("POST", 201, "valid")]


@needs("curl")
@pytest.mark.parametrize("way", ["tcp", "unix"])
def test_curl_gets_the_token_and_the_partner_accepts_it(way: str, site: Site) -> None:
    where = [site.url] if way == "tcp" else ["http://localhost", "--unix-socket", str(site.socket)]
    accept = ["-H", "Accept: text/plain", "-H", "Sidecar-Request: true"]
    token = site.run("curl", "-sS", "--fail", *accept, f"{where[0]}/v1/token", *where[1:])
    assert (token.returncode, token.stderr) == (0, "")
    probe = site.run("curl", "-sS", "-H", f"AccessToken: Bearer {token.stdout.strip()}", site.partner.probe_url)
    assert probe.stdout == EMPTY_LIST.strip()


@needs("curl")
def test_no_token_is_an_argument_of_a_process(site: Site, tmp_path: Path) -> None:
    """Every user of the machine can read arguments. A script in front of the real curl records them."""
    shim = tmp_path / "curl"
    shim.write_text(f'#!/bin/sh\necho "$*" >>"{tmp_path}/arguments"\nexec "{shutil.which("curl")}" "$@"\n')
    shim.chmod(0o755)
    site.run("sh", EXAMPLES / "token.sh")
    site.partner.revoke()
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TOKEN_SIDECAR_CALLER": CALLER_TOKEN}
    assert site.run("sh", EXAMPLES / "token.sh", **environ).returncode == 0
    arguments = (tmp_path / "arguments").read_text()
    assert arguments.count("/v1/authorize") == 2
    assert "Bearer" not in arguments
    assert CALLER_TOKEN not in arguments


@pytest.mark.parametrize("example", sorted(EXAMPLES.iterdir()), ids=lambda path: path.name)
def test_the_first_line_of_each_file_names_what_it_shows(example: Path) -> None:
    first = next(line for line in example.read_text().splitlines() if not line.startswith("#!"))
    assert first.lstrip('/#-" ').startswith("Shows: ")
