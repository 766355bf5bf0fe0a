"""A sidecar with a gateway as a process, and the recording partner behind it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.clients.recording_partner import ELSEWHERE, SIGNING_KEY, Recorded, RecordingPartner
from tests.support.replica import HANG_S, LOOK_S, PATIENT_S
from tests.support.threaded import in_a_thread

ALLOW = "GET /api/pay1st/*,HEAD /api/pay1st/*,POST /api/pay1st/payments/create,POST /api/pay1st/payments/fulfilments"
CREATE = "/api/pay1st/payments/create"


@dataclass(frozen=True)
class GatewaySite:
    """`url` is the gateway's. What it recorded is since the last `reset`."""

    url: str
    partner: RecordingPartner
    log: Path

    def reset(self) -> None:
        """Forget what the partner has seen, and where its redirect leads."""
        self.partner.seen.clear()
        self.partner.elsewhere = ELSEWHERE

    @property
    def seen(self) -> list[Recorded]:
        return self.partner.seen

    def audited(self) -> list[dict[str, Any]]:
        """Return the audit lines of all calls so far."""
        return [line for line in _events(self.log) if line.get("endpoint") == "gateway"]

    def callers_of(self, calls: int, before: int) -> set[str]:
        """Return the connections of the `calls` that followed the first `before` ones, once all have their line."""
        began = time.monotonic()
        while len(lines := self.audited()[before:]) < calls:
            assert time.monotonic() - began < HANG_S, f"{len(lines)} of {calls} calls"
            time.sleep(LOOK_S)
        assert len(lines) == calls
        return {line["caller"] for line in lines}


@contextmanager
def gateway_site(folder: Path) -> Iterator[GatewaySite]:
    for name, secret in (("api-key", "canary-key"), ("api-secret", "canary-secret"), ("signing-key", SIGNING_KEY)):
        (folder / name).write_text(secret)
    with in_a_thread(RecordingPartner()) as partner:
        environ = {
            "PATH": os.defpath,
            "SIDECAR_BASE_URL": partner.url,
            "SIDECAR_CREDENTIALS_DIR": str(folder),
            "SIDECAR_LISTEN": "127.0.0.1:0",
            "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
            "SIDECAR_GATEWAY_LISTEN": "127.0.0.1:0",
            "SIDECAR_GATEWAY_ALLOW": ALLOW,
            "SIDECAR_GATEWAY_TIMEOUT_S": str(PATIENT_S),
            "SIDECAR_PARTNER_TIMEOUT_S": str(PATIENT_S),
            "SIDECAR_REQUEST_TIMEOUT_S": str(PATIENT_S),
            "SIDECAR_CALL_BUDGET": "1000/60",
        }
        log = folder / "log"
        with log.open("wb") as stream:
            serve = [sys.executable, "-m", "sidecar", "serve"]
            process = subprocess.Popen(serve, env=environ, stdout=stream, stderr=subprocess.STDOUT)
        with process:
            try:
                yield GatewaySite(f"http://{_address(log, process)}", partner, log)
            finally:
                process.kill()


def _address(log: Path, process: subprocess.Popen[bytes]) -> str:
    while process.poll() is None:
        for line in _events(log):
            if line.get("event") == "service_started":
                return str(line["gateways"][0])
        time.sleep(LOOK_S)
    raise AssertionError(log.read_text())


def _events(log: Path) -> list[dict[str, Any]]:
    """Return the lines of the log, without a last one that is not complete."""
    return [json.loads(line) for line in log.read_text().rpartition("\n")[0].splitlines()]
