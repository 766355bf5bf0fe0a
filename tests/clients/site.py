"""A sidecar and its partner as processes, and the requests that the partner received."""

from __future__ import annotations

import json
import os
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.partner.presets import PRESETS
from tests.support.commands import START_LIMIT_S, process, wait_for

TOP = Path(__file__).resolve().parents[2]
EXAMPLES = TOP / "deploy/examples"
CALLER_TOKEN = "caller+token/canary="
WITH_A_KEY = {
    "SIDECAR_API_KEY": "",
    "SIDECAR_API_SECRET": "",
    "SIDECAR_CREDENTIALS_DIR": str(TOP / "deploy/demo"),
    "SIDECAR_GATEWAY_LISTEN": "127.0.0.1:0",
}
"""Settings of a sidecar that has the sandbox's signing key, and a gateway."""


class Partner:
    """The sandbox as a process; counts are since the last `reset`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.probe_url = url + PRESETS["pay1st"].probe_path

    def probes(self) -> dict[str, int]:
        """Return the number of requests with a token, by the status of the response."""
        return dict(self._stats()["counts"]["probe"])

    def token_calls(self) -> int:
        return len(self._stats()["calls"])

    def revoke(self) -> None:
        """Reject all tokens issued so far."""
        self._act("revoke")

    def requests(self) -> list[tuple[str, int, str | None]]:
        """Return method, status and the state of the signature of each request but token calls, in order."""
        with urllib.request.urlopen(f"{self.url}/_sandbox/journal", timeout=START_LIMIT_S) as answer:
            found = json.load(answer)["requests"]
        return [(each["method"], each["status"], each["signature"]) for each in found if "/auth" not in each["path"]]

    def reset(self) -> None:
        self._act("reset")

    def throttles(self) -> None:
        """Answer each token call with 429 from now on."""
        self._act("faults", {"fault": "status", "status": 429, "count": 0})

    def fails(self, fault: str, **more: object) -> None:
        """Let the next payment have this fault, or as many as `count` says, 0 for all (docs/sandbox.md)."""
        self._act("faults", {"fault": fault, "path": "/api/pay1st/payments/create", **more})

    def payments(self, reference: str) -> list[tuple[int, str]]:
        """Return status and state of the signature of each request that created, or tried to create, this payment."""
        with urllib.request.urlopen(f"{self.url}/_sandbox/journal", timeout=START_LIMIT_S) as answer:
            requests = json.load(answer)["requests"]
        return [(each["status"], each["signature"]) for each in requests if each["partnerReference"] == reference]

    def _stats(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self.url}/_sandbox/stats", timeout=START_LIMIT_S) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def _act(self, what: str, body: Mapping[str, object] | None = None) -> None:
        data = json.dumps(body or {}).encode()
        with urllib.request.urlopen(f"{self.url}/_sandbox/{what}", data=data, timeout=START_LIMIT_S) as answer:
            assert answer.status == 204


@dataclass(frozen=True)
class Site:
    """One sidecar, on TCP and on a unix socket, and its partner."""

    url: str
    socket: Path
    partner: Partner
    gateway: str = ""
    """The URL of its gateway; empty without one."""

    def run(self, *argv: str | Path, url: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a client as a process that gets both URLs, and only the paths of this environment."""
        urls = {
            "TOKEN_SIDECAR": url or self.url,
            "TOKEN_SIDECAR_GATEWAY": self.gateway,
            "PARTNER": self.partner.url,
            "PARTNER_URL": self.partner.probe_url,
        }
        # The folder of a script is on Python's path, the current one is not; the tests need the code of this checkout.
        paths = {"PATH": os.environ.get("PATH", os.defpath), "PYTHONPATH": str(TOP)}
        return subprocess.run(
            argv,
            env={**paths, **urls, **environ},
            capture_output=True,
            text=True,
            check=False,
            timeout=START_LIMIT_S,
        )


@contextmanager
def partner_process() -> Iterator[Partner]:
    with process("sandbox", "--listen", "127.0.0.1:0", "--rate", "1000/60") as sandbox:
        yield Partner(wait_for(r"(http://\S+);", sandbox.stdout))


@contextmanager
def site_with(partner: Partner, folder: Path, **settings: str) -> Iterator[Site]:
    """Start a new sidecar: no test has revoked its first token."""
    credentials = {"SIDECAR_API_KEY": "demo-api-key", "SIDECAR_API_SECRET": "demo-api-secret"}
    environ = {
        "SIDECAR_BASE_URL": partner.url,
        **({} if "SIDECAR_CREDENTIALS_DIR" in settings else credentials),
        "SIDECAR_LISTEN": f"127.0.0.1:0,unix:{folder}/sidecar.sock",
        "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
        "SIDECAR_DRAIN_S": "0",
        **settings,
    }
    with process("serve", environ=environ) as serve:
        started = json.loads(wait_for(r'(.*"event": ?"service_started".*)', serve.stdout))
        gateway = f"http://{started['gateways'][0]}" if "gateways" in started else ""
        yield Site(f"http://{started['listen'][0]}", folder / "sidecar.sock", partner, gateway)


@contextmanager
def signing_site(partner: Partner, folder: Path, **settings: str) -> Iterator[Site]:
    """Start a new sidecar with the sandbox's signing key."""
    credentials = folder / "credentials"
    credentials.mkdir()
    for name in ("api-key", "api-secret", "signing-key"):
        (credentials / name).write_text(f"demo-{name}")
    with site_with(partner, folder, SIDECAR_CREDENTIALS_DIR=str(credentials), **settings) as site:
        yield site
