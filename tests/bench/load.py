"""The load: wrk or our own load generator on a core of its own, and a caller at a fixed pace."""

from __future__ import annotations

import re
import select
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from tests.bench.peers import HERE, LOAD_CORE, Peer
from tests.support.replica import HANG_S

REQUIRED = "Sidecar-Request: true"
REQUEST = f"GET /v1/token HTTP/1.1\r\nHost: 127.0.0.1\r\n{REQUIRED}\r\n\r\n".encode()
CONNECTIONS = 16
_SPIN_S = 0.0005
_UNITS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


class WrongAnswerError(Exception):
    """A measured server returned something else than the token."""


@dataclass(frozen=True)
class Rate:
    """`per_s` requests, half of them answered within `p50_s`, all but one in a hundred within `p99_s`.

    `slowest_s` is 0 if it was not measured.
    """

    per_s: float
    p50_s: float
    p99_s: float
    slowest_s: float = 0


@dataclass(frozen=True)
class Load:
    """Requests over this many kept connections, each sent once the previous one is answered.

    `headers` are sent besides those of the server's callers; `Connection: close` among them makes each request a new
    connection. `script` is one for wrk. With `per_s`, one caller sends this many requests a second.
    """

    connections: int
    headers: tuple[str, ...] = ()
    script: str = ""
    per_s: int = 0


def apply_load(load: Load, peer: Peer, *, seconds: int, generator: Path) -> Rate:
    """Measure a server under a load, with `generator` where it listens on a unix socket, which wrk does not have.

    Raises `WrongAnswerError` when a single answer is not the token.
    """
    if load.per_s:
        return paced(peer, per_s=load.per_s, seconds=seconds)
    if peer.socket_path:
        return generated(peer, load, seconds=seconds, generator=generator)
    return wrk(peer, load, seconds=seconds)


def wrk(peer: Peer, load: Load, *, seconds: int) -> Rate:
    """Send requests as fast as they are answered. Raises `WrongAnswerError` when a single answer is not 200."""
    headers = [part for header in _headers(peer, load) for part in ("-H", header)]
    script = ["-s", load.script] if load.script else []
    command = [
        "taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{load.connections}", f"-d{seconds}s", "--latency",
        # A late response on a busy machine is no socket error.
        "--timeout", f"{HANG_S}s", *headers, *script, peer.url,
    ]  # fmt: skip
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if "Non-2xx" in output or "Socket errors" in output:
        raise WrongAnswerError(f"{peer.name}: {output}")
    rate = re.search(r"Requests/sec:\s+([0-9.]+)", output)
    halves = {share: _seconds(found[1], found[2]) for share in ("50", "99") if (found := _share(output, share))}
    if rate is None or len(halves) < 2:
        raise WrongAnswerError(f"{peer.name}: {output}")
    return Rate(float(rate[1]), halves["50"], halves["99"])


def build_generator(folder: Path) -> Path:
    """Compile our own load generator into `folder`."""
    program = folder / "load_generator"
    subprocess.run(["gcc", "-O2", "-o", program, HERE / "load_generator.c"], check=True)
    return program


def generated(peer: Peer, load: Load, *, seconds: float, generator: Path) -> Rate:
    """Do the same with our own load generator, over TCP or a unix socket. It keeps connections and takes no script."""
    request = "\r\n".join(("GET /v1/token HTTP/1.1", "Host: localhost", *_headers(peer, load), "", ""))
    command = ["taskset", "-c", LOAD_CORE, str(generator), peer.address, str(load.connections), str(seconds), request]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=seconds + HANG_S)
    if done.returncode:
        raise WrongAnswerError(f"{peer.name}: {done.stderr}")
    per_s, p50_us, p99_us = done.stdout.split()
    return Rate(float(per_s), int(p50_us) / 1e6, int(p99_us) / 1e6)


def _headers(peer: Peer, load: Load) -> list[str]:
    return [REQUIRED, *(f"{name}: {value}" for name, value in peer.headers.items()), *load.headers]


def _share(output: str, share: str) -> re.Match[str] | None:
    return re.search(rf"^\s+{share}%\s+([0-9.]+)(us|ms|s)\s*$", output, re.MULTILINE)


def _seconds(number: str, unit: str) -> float:
    return float(number) * _UNITS[unit]


def paced(peer: Peer, *, per_s: float, seconds: float) -> Rate:
    """Send requests as one caller at a fixed rate, each at its time, and measure the waits."""
    waits_s: list[float] = []
    with socket.create_connection(("127.0.0.1", peer.port)) as connection, connection.makefile("rb") as answers:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        began = time.perf_counter()
        for number in range(int(per_s * seconds)):
            _wait_for(began + number / per_s)
            sent = time.perf_counter()
            connection.sendall(REQUEST)
            _read(answers, peer)
            waits_s.append(time.perf_counter() - sent)
    waits_s.sort()
    return Rate(len(waits_s) / seconds, waits_s[len(waits_s) // 2], waits_s[len(waits_s) * 99 // 100], waits_s[-1])


def exactly(peer: Peer, requests: int) -> None:
    """Send exactly this many requests, over some connections. Raises `WrongAnswerError` for any wrong response."""
    poll = select.epoll()
    callers = {}
    for _ in range(CONNECTIONS):
        caller = socket.create_connection(("127.0.0.1", peer.port))
        callers[caller.fileno()] = caller
        poll.register(caller, select.EPOLLIN)
        caller.sendall(REQUEST)
    left = requests - CONNECTIONS
    while callers:
        for number, _ in poll.poll():
            # One write is one segment of the loopback, so a response arrives whole.
            answer = callers[number].recv(65_536)
            if not (answer.startswith(b"HTTP/1.1 200") and answer.endswith(b"}")):
                raise WrongAnswerError(f"{peer.name}: {answer[:100]!r}")
            if left > 0:
                left -= 1
                callers[number].sendall(REQUEST)
            else:
                poll.unregister(number)
                callers.pop(number).close()


def _wait_for(due: float) -> None:
    """Spin at the end: a sleep until the exact time would measure the kernel's wake-up."""
    while (left_s := due - time.perf_counter()) > 0:
        if left_s > _SPIN_S:
            time.sleep(left_s - _SPIN_S)


def _read(answers: BinaryIO, peer: Peer) -> None:
    first, length = answers.readline(), 0
    while (line := answers.readline()) not in (b"\r\n", b""):
        if line.lower().startswith(b"content-length:"):
            length = int(line.partition(b":")[2])
    if not first.startswith(b"HTTP/1.1 200") or len(answers.read(length)) < length or not length:
        raise WrongAnswerError(f"{peer.name}: {first!r}")
