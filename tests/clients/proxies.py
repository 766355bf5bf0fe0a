"""The proxies of deploy/examples, run as they are: only their addresses are others."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import certifi

from tests.clients.site import EXAMPLES
from tests.fakes.commands import wait_for
from tests.fakes.programs import found
from tests.servers import free_port

TLS = (
    "server partner api-gateway.carry1st.com:443 ssl verify required ca-file @system-ca "
    "sni str(api-gateway.carry1st.com) verifyhost api-gateway.carry1st.com"
)


@contextmanager
def nginx(sidecar: str, partner_url: str, folder: Path) -> Iterator[int]:
    """Runs until the end of the block; its port. `sidecar` is `host:port` or `unix:/path`, as for `haproxy`."""
    port = free_port()
    changes = {
        "server unix:/run/token-sidecar/sidecar.sock;": f"server {sidecar};",
        "listen 127.0.0.1:8080;": f"listen 127.0.0.1:{port};",
        "proxy_pass https://api-gateway.carry1st.com;": f"proxy_pass {partner_url};",
        "/etc/ssl/certs/ca-certificates.crt": certifi.where(),
    }
    _changed("nginx.conf", changes, folder / "example.conf")
    (folder / "nginx.conf").write_text(_around(folder))
    with _running("(start worker process) ", "nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"):
        yield port


@contextmanager
def haproxy(sidecar: str, partner_url: str, folder: Path) -> Iterator[int]:
    port = free_port()
    partner = partner_url.removeprefix("http://")
    changes = {
        "bind 127.0.0.1:8080": f"bind 127.0.0.1:{port}",
        "/etc/haproxy/haproxy.lua": str(folder / "haproxy.lua"),
        "Host api-gateway.carry1st.com": f"Host {partner}",
        TLS: f"server partner {partner}",
    }
    _changed("haproxy.cfg", changes, folder / "haproxy.cfg")
    _changed(
        "haproxy.lua",
        {"unix@/run/token-sidecar/sidecar.sock": sidecar.replace("unix:", "unix@")},
        folder / "haproxy.lua",
    )
    with _running("(Loading success)", "haproxy", "-W", "-db", "-f", folder / "haproxy.cfg"):
        yield port


PROXIES = {"nginx": nginx, "haproxy": haproxy}


def _changed(example: str, changes: Mapping[str, str], into: Path) -> None:
    text = (EXAMPLES / example).read_text()
    for theirs, ours in changes.items():
        assert text.count(theirs) == 1, theirs
        text = text.replace(theirs, ours)
    into.write_text(text)


@contextmanager
def _running(started: str, name: str, *arguments: str | Path) -> Iterator[None]:
    """`started` is what it says on stderr once it listens, with one group."""
    with subprocess.Popen([found(name) or name, *arguments], stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_for(started, running.stderr)
            yield
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
