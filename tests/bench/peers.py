"""The servers that the sidecar is compared with, and how any server is started. All of them run on one core."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.bench.partner import KEY, SECRET
from tests.support.proc import cpu_s
from tests.support.resident import resident_bytes

HERE = Path(__file__).parent
SERVER_CORE, LOAD_CORE = "0", "1"
TOKEN_PATH = "/v1/token"
ENVIRON = {**os.environ, "GOMAXPROCS": "1"}
CONNECT_LIMIT_S = 5
AS_INSTALLED = "import sys; sys.modules['rich'] = None"
"""structlog imports `rich` if it is installed, which is so only for these tests."""
COMMAND = (sys.executable, "-c", f"{AS_INSTALLED}; from sidecar.__main__ import main; main()")
"""`token-sidecar`, with the libraries that an installation has."""
PEER_TITLES = {
    "limit": "C epoll loop (the limit)",
    "nginx": "nginx proxy_cache",
    "varnish": "Varnish",
    "go": "Go net/http",
    "go-unix": "Go net/http (unix socket)",
    "aiohttp": "aiohttp Application",
}
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
    """One server; its child processes count as part of it.

    `headers` are what its callers send besides the required one. With `socket_path` it listens there, not on `port`.
    With `discards_output` its stdout is not kept, so that long logs cost all servers the same. `path` is what
    its callers ask for. It runs on the core `core`.
    """

    name: str
    port: int
    command: Sequence[str]
    environ: Mapping[str, str] = field(default_factory=lambda: ENVIRON)
    headers: Mapping[str, str] = field(default_factory=dict)
    socket_path: str = ""
    discards_output: bool = False
    path: str = TOKEN_PATH
    core: str = SERVER_CORE
    process: subprocess.Popen[bytes] | None = None
    log: Path | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def address(self) -> str:
        return f"unix:{self.socket_path}" if self.socket_path else f"127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        if not self.socket_path:
            return socket.create_connection(("127.0.0.1", self.port), timeout=CONNECT_LIMIT_S)
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(CONNECT_LIMIT_S)
        try:
            connection.connect(self.socket_path)
        except OSError:
            connection.close()
            raise
        return connection

    def start(self, log: Path) -> None:
        self.log = log
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                ["taskset", "-c", self.core, *self.command],
                env=dict(self.environ), stdout=subprocess.DEVNULL if self.discards_output else stream, stderr=stream,
            )  # fmt: skip

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)

    @property
    def ended(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    @property
    def output(self) -> str:
        """All its output so far."""
        return "" if self.log is None else self.log.read_text(errors="replace")

    @property
    def cpu_s(self) -> float:
        """The CPU time of all its processes so far."""
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
        """The memory of all its processes: masters, workers and children."""
        return sum(resident_bytes(pid) for pid in self._pids)


def peers(
    folder: Path, first_port: int, body: bytes, wanted: Collection[str], *, all_of_them: bool = True
) -> list[Peer]:
    """Return the wanted servers of `PEER_TITLES`. The first is the machine's limit, which is the origin of the caches.

    Their files go to `folder`. Without `all_of_them`, those whose programs are not installed are left out.
    """
    fields = ("Content-Type: application/json", "Cache-Control: max-age=3600", f"Content-Length: {len(body)}")
    (folder / "answer").write_bytes("\r\n".join(("HTTP/1.1 200 OK", *fields, "", "")).encode() + body)
    (folder / "body").write_bytes(body)
    made: dict[str, Callable[[int], Peer]] = {
        "limit": lambda port: _limit(folder, port),
        "nginx": lambda port: _nginx(folder, port, origin=first_port),
        "varnish": lambda port: _varnish(folder, port, origin=first_port),
        "go": lambda port: _go(folder, "go", port),
        "go-unix": lambda port: _go(folder, "go-unix", port, socket_path=str(folder / "go.sock")),
        "aiohttp": lambda port: Peer(
            "aiohttp", port, [sys.executable, "-m", "tests.bench.application", str(port), str(folder / "body")]
        ),
    }
    programs = {"nginx": "nginx", "varnish": "varnishd", "go": "go", "go-unix": "go"}
    return [
        make(first_port + at)
        for at, (name, make) in enumerate(made.items())
        if name == "limit" or name in wanted
        if all_of_them or name not in programs or shutil.which(program(programs[name]))
    ]


def _limit(folder: Path, port: int) -> Peer:
    subprocess.run(["gcc", "-O2", "-o", folder / "limit", HERE / "limit.c"], check=True)
    return Peer("limit", port, [str(folder / "limit"), str(port), str(folder / "answer")])


def _nginx(folder: Path, port: int, origin: int) -> Peer:
    # If root starts it, it drops root's rights, and cannot use the folder.
    user = "user root; " if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(user=user, folder=folder, port=port, origin=origin))
    return Peer("nginx", port, [program("nginx"), "-c", str(folder / "nginx.conf"), "-p", str(folder)])


def _varnish(folder: Path, port: int, origin: int) -> Peer:
    return Peer("varnish", port, [
        program("varnishd"), "-F", "-a", f"127.0.0.1:{port}", "-b", f"127.0.0.1:{origin}", "-s", "malloc,64m",
        "-n", str(folder / "varnish"), "-T", "none",
    ])  # fmt: skip


def _go(folder: Path, name: str, port: int, socket_path: str = "") -> Peer:
    environ = {**ENVIRON, "GOCACHE": str(folder / "go-cache"), "HOME": str(folder)}
    subprocess.run(["go", "build", "-o", folder / "peer", HERE / "peer.go"], check=True, env=environ)
    address = f"unix:{socket_path}" if socket_path else f"127.0.0.1:{port}"
    return Peer(name, port, [str(folder / "peer"), address, str(folder / "body")], socket_path=socket_path)


def sidecar(name: str, port: int, partner_url: str, **settings: str) -> Peer:
    """Return a sidecar with everything on, and these `settings`; its admin listener has the next port."""
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
    listen = settings.get("LISTEN", "")
    socket_path = listen.removeprefix("unix:") if listen.startswith("unix:") else ""
    return Peer(name, port, [*COMMAND, "serve"], environ, socket_path=socket_path)


def admin_url(peer: Peer) -> str:
    """Return the URL of the admin listener of a sidecar."""
    return f"http://127.0.0.1:{peer.port + 1}"


def program(name: str) -> str:
    return shutil.which(name) or f"/usr/sbin/{name}"
