"""nginx in front of a server: its access log says when each token call came, and it can limit their rate."""

from __future__ import annotations

import getpass
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.commands import wait_for
from tests.support.programs import found

NOISE = "noise"
"""The user agent of calls of the test itself, which count for the limit and are not in `Front.calls`."""

ROUNDING_S = 0.05
"""nginx counts in milliseconds, and reads its clock once for all that happens at one moment."""


@dataclass(frozen=True)
class Arrival:
    """A token call. `logged_at` is in UTC epoch seconds; a busy machine may have sent the response well before."""

    logged_at: float
    took_s: float
    status: int
    agent: str

    @property
    def at(self) -> float:
        """When its first byte came."""
        return self.logged_at - self.took_s


@dataclass(frozen=True)
class Front:
    folder: Path
    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def calls(self) -> list[Arrival]:
        """Every token call of a sidecar, in the order of the responses."""
        whole = (self.folder / "access.log").read_text().rpartition("\n")[0].splitlines()
        arrivals = [Arrival(**json.loads(line)) for line in whole]
        return [arrival for arrival in arrivals if arrival.agent != NOISE]

    @property
    def statuses(self) -> list[int]:
        return [call.status for call in self.calls]


@contextmanager
def front(folder: Path, port: int, server_port: int, limit: str = "", retry_after: str = "") -> Iterator[Front]:
    """Run nginx. `limit` is a rate such as `6r/m`, for all clients together; beyond it they get 429."""
    (folder / "nginx.conf").write_text(_configuration(folder, port, server_port, limit, retry_after))
    command = [found("nginx") or "nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as running:
        try:
            wait_for("(start worker process) ", running.stderr)
            yield Front(folder, port)
        finally:
            running.terminate()


def _configuration(folder: Path, port: int, server_port: int, limit: str, retry_after: str) -> str:
    paths = "".join(
        f"{kind}_temp_path {folder}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    zone = f"limit_req_zone $server_name zone=calls:1m rate={limit}; limit_req_status 429;" if limit else ""
    wait = f"add_header Retry-After {retry_after} always;"
    return f"""
        user {getpass.getuser()}; daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log stderr notice;
        events {{}}
        http {{
            {paths} {zone}
            log_format arrivals escape=json
                '{{"logged_at":$msec,"took_s":$request_time,"status":$status,"agent":"$http_user_agent"}}';
            server {{
                listen 127.0.0.1:{port};
                server_name front;
                access_log {folder}/access.log arrivals;
                {f"error_page 429 @wait; location @wait {{ {wait} return 429; }}" if retry_after else ""}
                location / {{
                    {"limit_req zone=calls;" if limit else ""}
                    proxy_pass http://127.0.0.1:{server_port};
                    proxy_set_header Host $http_host;
                }}
            }}
        }}
    """
