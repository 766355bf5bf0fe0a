"""The proxies of deploy/examples, unchanged except for their addresses."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import certifi
import yaml

from tests.clients.site import CALLER_TOKEN, EXAMPLES
from tests.servers import free_port
from tests.support.commands import wait_for
from tests.support.programs import found

PORT = "8080"
"""The port of each example."""
TLS = (
    "server partner api-gateway.carry1st.com:443 ssl verify required ca-file @system-ca "
    "sni str(api-gateway.carry1st.com) verifyhost api-gateway.carry1st.com"
)


@contextmanager
def nginx(sidecar: str, partner_url: str, folder: Path) -> Iterator[int]:
    """Run it and yield its port. `sidecar` is `host:port` or `unix:/path`, as for `haproxy`."""
    port = free_port()
    changes = {
        "server unix:/run/token-sidecar/sidecar.sock;": f"server {sidecar};",
        f"listen 127.0.0.1:{PORT}": f"listen 127.0.0.1:{port}",
        "proxy_pass https://api-gateway.carry1st.com;": f"proxy_pass {partner_url};",
        "/etc/ssl/certs/ca-certificates.crt": certifi.where(),
    }
    _changed("nginx.conf", changes, folder / "example.conf")
    with _running_nginx(folder):
        yield port


@contextmanager
def nginx_gateway(gateway: str, folder: Path) -> Iterator[int]:
    """Run nginx in front of the gateway at `host:port`, and yield its port."""
    port = free_port()
    changes = {
        "server 127.0.0.1:8282;": f"server {gateway};",
        f"listen 127.0.0.1:{PORT}": f"listen 127.0.0.1:{port}",
    }
    _changed("nginx_gateway.conf", changes, folder / "example.conf")
    with _running_nginx(folder):
        yield port


@contextmanager
def haproxy(sidecar: str, partner_url: str, folder: Path) -> Iterator[int]:
    port = free_port()
    partner = partner_url.removeprefix("http://")
    changes = {
        f"bind 127.0.0.1:{PORT}": f"bind 127.0.0.1:{port}",
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


@contextmanager
def envoy(sidecar: str, partner_url: str, folder: Path, *, own_path: str = "path_prefix") -> Iterator[int]:
    """`own_path` is how Envoy makes the path of its request: `path_prefix`, or `path_override`."""
    example = _envoy_example("envoy.yaml", sidecar, partner_url)
    service = _first_filter(example)["http_service"]
    if own_path == "path_override":
        del service["path_prefix"]
        service["path_override"] = "/v1/authorize"
    if not sidecar.startswith("unix:"):
        shown = {"key": "Sidecar-Token", "value": CALLER_TOKEN}
        service["authorization_request"] = {"headers_to_add": [shown]}
    with _running_envoy(example, folder) as port:
        yield port


@contextmanager
def envoy_oauth(sidecar: str, partner_url: str, folder: Path) -> Iterator[int]:
    """Envoy gets its token in advance, and answers 401 until it has one."""
    example = _envoy_example("envoy_oauth.yaml", sidecar, partner_url)
    if not sidecar.startswith("unix:"):
        example["static_resources"]["secrets"][0]["generic_secret"]["secret"]["inline_string"] = CALLER_TOKEN
    with _running_envoy(example, folder) as port:
        yield port


@contextmanager
def caddy(sidecar: str, partner_url: str, folder: Path) -> Iterator[int]:
    port = free_port()
    question = "forward_auth unix//run/token-sidecar/sidecar.sock {"
    address = sidecar.replace("unix:", "unix/")
    shown = "" if sidecar.startswith("unix:") else f"\n\t\theader_up Sidecar-Token {CALLER_TOKEN}"
    changes = {
        f":{PORT}": f":{port}",
        question: f"forward_auth {address} {{{shown}",
        "https://api-gateway.carry1st.com": partner_url,
        "admin off": "admin off\n\tpersist_config off",
    }
    _changed("Caddyfile", changes, folder / "Caddyfile")
    with _running("(serving initial configuration)", "caddy", "run", "--config", folder / "Caddyfile"):
        yield port


OF_THE_PROXY_ITSELF = {"nginx": nginx, "haproxy": haproxy}
"""These send a request of their own to the sidecar, which has nothing of the app's."""
OF_THE_APPS = {"envoy": envoy, "caddy": caddy}
"""These send the app's request to the sidecar, which needs SIDECAR_FORWARD_AUTH."""
PROXIES = OF_THE_PROXY_ITSELF | OF_THE_APPS


def _changed(example: str, changes: Mapping[str, str], into: Path) -> None:
    text = (EXAMPLES / example).read_text()
    for theirs, ours in changes.items():
        assert theirs in text, theirs
        text = text.replace(theirs, ours)
    into.write_text(text)


def _envoy_example(name: str, sidecar: str, partner_url: str) -> dict[str, Any]:
    example: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text())
    sidecars, partners = example["static_resources"]["clusters"]
    _endpoint(partners)["socket_address"] = _socket_address(partner_url.removeprefix("http://"))
    del partners["transport_socket"]
    if sidecar.startswith("unix:"):
        _endpoint(sidecars)["pipe"]["path"] = sidecar.removeprefix("unix:")
    else:
        del _endpoint(sidecars)["pipe"]
        _endpoint(sidecars)["socket_address"] = _socket_address(sidecar)
    return example


@contextmanager
def _running_nginx(folder: Path) -> Iterator[None]:
    (folder / "nginx.conf").write_text(_around(folder))
    with _running("(start worker process) ", "nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"):
        yield


@contextmanager
def _running_envoy(example: dict[str, Any], folder: Path) -> Iterator[int]:
    port = free_port()
    example["static_resources"]["listeners"][0]["address"]["socket_address"]["port_value"] = port
    (folder / "envoy.yaml").write_text(yaml.safe_dump(example))
    with _running("(starting main dispatch loop)", "envoy", "--disable-hot-restart", "-c", folder / "envoy.yaml"):
        yield port


def _first_filter(example: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of the first HTTP filter."""
    (manager,) = example["static_resources"]["listeners"][0]["filter_chains"][0]["filters"]
    found: dict[str, Any] = manager["typed_config"]["http_filters"][0]["typed_config"]
    return found


def _endpoint(cluster: dict[str, Any]) -> dict[str, Any]:
    """Return the address of the only endpoint."""
    found: dict[str, Any] = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]["address"]
    return found


def _socket_address(address: str) -> dict[str, str | int]:
    host, _, port = address.rpartition(":")
    return {"address": host, "port_value": int(port)}


@contextmanager
def _running(started: str, name: str, *arguments: str | Path) -> Iterator[None]:
    """`started` is a pattern with one group, which it writes to stderr once it listens."""
    with subprocess.Popen([found(name) or name, *arguments], stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_for(started, running.stderr)
            yield
        finally:
            running.terminate()


def _around(folder: Path) -> str:
    """Return what a distribution's nginx.conf would hold; nothing is written outside the folder."""
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    return (
        # "user" has an effect for root only, whose workers could not reach the socket otherwise.
        f"user {getpass.getuser()}; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr notice;"
        f"events {{}} http {{ access_log off; {paths} include {folder}/example.conf; }}"
    )
