"""Everybody who is measured: how each is started, and where it answers. All of them get the same body, on one core."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.partner import KEY, SECRET
from tests.fakes.proc import cpu_s
from tests.fakes.resident import resident_bytes

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = "0", "1"
ENVIRON = {**os.environ, "GOMAXPROCS": "1"}
NGINX = """\
{user}daemon off; pid {folder}/nginx.pid; worker_processes 1; error_log stderr crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 100000000; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p;
  fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  proxy_cache_path {folder}/cache keys_zone=tokens:1m;
  server {{
    listen 127.0.0.1:{port} backlog=1024;
    location / {{
      proxy_pass http://127.0.0.1:{origin}; proxy_cache tokens; proxy_cache_valid 200 1h; proxy_cache_lock on;
      proxy_ignore_headers Cache-Control;
    }}
  }}
}}
"""


@dataclass
class Peer:
    """One server; its children count as it."""

    name: str
    port: int
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=lambda: ENVIRON)
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/token"

    def start(self, log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                ["taskset", "-c", SERVER_CORE, *self.command], env=dict(self.environ), stdout=stream, stderr=stream
            )

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def said(self) -> str:
        """All that it wrote."""
        return "" if self.log is None else self.log.read_text(errors="replace")

    @property
    def cpu_s(self) -> float:
        """What it has spent of its core so far, with all its processes."""
        return sum(cpu_s(pid) for pid in self._pids)

    @property
    def _pids(self) -> list[int]:
        assert self.process is not None
        listed = subprocess.run(
            ["ps", "-o", "pid=", "--pid", str(self.process.pid), "--ppid", str(self.process.pid)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        return [int(line) for line in listed.stdout.split()]

    @property
    def resident_bytes(self) -> int:
        """Of all its processes: masters, workers and children."""
        return sum(resident_bytes(pid) for pid in self._pids)


def peers(folder: Path, first_port: int, body: bytes, *, all_of_them: bool = True) -> list[Peer]:
    """All but the sidecar; their files go to `folder`. The first is the machine's limit, and the caches' origin.

    Without `all_of_them`, whose program is not there is left out.
    """
    ports = iter(range(first_port, first_port + 10))
    fields = ("Content-Type: application/json", "Cache-Control: max-age=3600", f"Content-Length: {len(body)}")
    (folder / "answer").write_bytes("\r\n".join(("HTTP/1.1 200 OK", *fields, "", "")).encode() + body)
    (folder / "body").write_bytes(body)
    subprocess.run(["gcc", "-O2", "-o", folder / "limit", HERE / "limit.c"], check=True)
    if all_of_them or shutil.which("go"):
        go_environ = {**ENVIRON, "GOCACHE": str(folder / "go"), "HOME": str(folder)}
        subprocess.run(["go", "build", "-o", folder / "peer", HERE / "peer.go"], check=True, env=go_environ)
    origin = next(ports)
    cache = next(ports)
    # Started by root it would give up that right, and with it the folder.
    user = "user root; " if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(user=user, folder=folder, port=cache, origin=origin))
    varnish = next(ports)
    found = [
        Peer("C epoll loop (the limit)", origin, [str(folder / "limit"), str(origin), str(folder / "answer")]),
        Peer("nginx proxy_cache", cache, [_program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)]),
        Peer("Varnish", varnish, [
            _program("varnishd"), "-F", "-a", f"127.0.0.1:{varnish}", "-b", f"127.0.0.1:{origin}", "-s", "malloc,64m",
            "-n", str(folder / "varnish"), "-T", "none",
        ]),
        Peer("Go net/http", port := next(ports), [str(folder / "peer"), str(port), str(folder / "body")]),
        Peer("aiohttp Application", port := next(ports), [
            sys.executable, "-m", "tests.bench.application", str(port), str(folder / "body"),
        ]),
    ]  # fmt: skip
    return [peer for peer in found if all_of_them or shutil.which(peer.command[0])]


def sidecar(name: str, port: int, partner_url: str, **settings: str) -> Peer:
    """The sidecar with everything on, and `settings` beside; its admin listener has the next port."""
    environ = {
        "PATH": os.defpath,
        "SIDECAR_LISTEN": f"127.0.0.1:{port}",
        "SIDECAR_ADMIN_LISTEN": f"127.0.0.1:{port + 1}",
        "SIDECAR_BASE_URL": partner_url,
        "SIDECAR_API_KEY": KEY,
        "SIDECAR_API_SECRET": SECRET,
        "SIDECAR_DRAIN_S": "0",
        **{f"SIDECAR_{key}": value for key, value in settings.items()},
    }
    return Peer(name, port, [sys.executable, "-m", "sidecar", "serve"], environ)


def admin_url(peer: Peer) -> str:
    """Of a sidecar."""
    return f"http://127.0.0.1:{peer.port + 1}"


def _program(name: str) -> str:
    return shutil.which(name) or f"/usr/sbin/{name}"
