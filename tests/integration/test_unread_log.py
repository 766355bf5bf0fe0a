"""A sidecar whose log is a pipe that is not read: it goes on, and reports how many lines were dropped."""

from __future__ import annotations

import http.client
import json
import signal
import subprocess
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
from prometheus_client.parser import text_string_to_metric_families

from sidecar.telemetry.line_writer import MAX_QUEUED
from tests.support.commands import START_LIMIT_S, process, wait_for

STREAMS = ("log", "audit")


class Unread:
    """A running sidecar, and one connection to each of its listeners."""

    def __init__(self, serve: subprocess.Popen[str], vending: str, admin: str) -> None:
        self.serve = serve
        self._vending = http.client.HTTPConnection(vending, timeout=START_LIMIT_S)
        self._admin = http.client.HTTPConnection(admin, timeout=START_LIMIT_S)

    def vend(self) -> int:
        self._vending.request("GET", "/v1/token", headers={"Sidecar-Request": "true"})
        with self._vending.getresponse() as answer:
            answer.read()
        return answer.status

    def admin(self, path: str) -> str:
        self._admin.request("GET", path)
        with self._admin.getresponse() as answer:
            assert answer.status == 200
            return answer.read().decode()

    def dropped(self) -> dict[str, float]:
        """The dropped lines by stream."""
        return {
            sample.labels["stream"]: sample.value
            for family in text_string_to_metric_families(self.admin("/metrics"))
            for sample in family.samples
            if sample.name == "token_sidecar_log_lines_dropped_total"
        }

    def close(self) -> None:
        self._vending.close()
        self._admin.close()

    def flood(self) -> None:
        """Send requests until lines of both streams were dropped: each request writes a line to both."""
        while not all(self.dropped()[stream] for stream in STREAMS):
            for _ in range(MAX_QUEUED // 4):
                assert self.vend() == 200


@pytest.fixture
def unread() -> Iterator[Unread]:
    """A sidecar with a token, whose log is not read from then on."""
    with process("sandbox", "--listen", "127.0.0.1:0") as sandbox:
        environ = {
            "SIDECAR_BASE_URL": wait_for(r"(http://\S+);", sandbox.stdout),
            "SIDECAR_API_KEY": "demo-api-key",
            "SIDECAR_API_SECRET": "demo-api-secret",
            "SIDECAR_LISTEN": "127.0.0.1:0",
            "SIDECAR_ADMIN_LISTEN": "127.0.0.1:0",
            "SIDECAR_DRAIN_S": "0",
            "SIDECAR_LOG_LEVEL": "debug",
            "SIDECAR_AUDIT": "all",
        }
        with process("serve", environ=environ) as serve:
            started = json.loads(wait_for(r"(.*service_started.*)", serve.stdout))
            wait_for("(token_changed)", serve.stdout)
            vending, admin = (urlsplit(f"//{started[name][0]}").netloc for name in ("listen", "admin_listen"))
            running = Unread(serve, vending, admin)
            try:
                yield running
            finally:
                running.close()


def test_vending_probes_and_metrics_go_on_and_what_was_dropped_is_told_when_the_log_is_read_again(
    unread: Unread,
) -> None:
    unread.flood()
    assert unread.vend() == 200
    assert unread.admin("/livez")
    dropped = unread.dropped()
    told = json.loads(wait_for(r"(.*log_lines_dropped.*)", unread.serve.stdout))
    assert told["level"] == "warning"
    assert {stream: told[stream] for stream in STREAMS} == dropped
    while "log_lines_dropped" not in unread.admin("/status.json"):
        time.sleep(0.02)


def test_sigterm_ends_it_with_0(unread: Unread) -> None:
    unread.flood()
    unread.serve.send_signal(signal.SIGTERM)
    assert unread.serve.wait(START_LIMIT_S) == 0


def test_at_a_normal_end_every_line_is_written(unread: Unread) -> None:
    """So many lines fit into the pipe: the process ends before they are read."""
    for _ in range(50):
        assert unread.vend() == 200
    unread.serve.send_signal(signal.SIGTERM)
    assert unread.serve.wait(START_LIMIT_S) == 0
    assert unread.serve.stdout is not None
    events = [json.loads(line)["event"] for line in unread.serve.stdout]
    assert events.count("audit") == 50
    assert events[-1] == "service_stopped"
