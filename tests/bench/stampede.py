"""Many callers send requests to one replica at once, before it has a token."""

from __future__ import annotations

import json
import resource
import select
import socket
import time
import urllib.request
from pathlib import Path

from tests.bench.findings import Finding
from tests.bench.load import REQUEST, WrongAnswerError
from tests.bench.measure import running, until_it_answers
from tests.bench.partner import Partner, partner
from tests.bench.peers import Peer, admin_url, sidecar

CALLERS = 10_000
SMOKE_CALLERS = 300
OTHERS = 200
"""Files that either process has open besides the connections of the callers."""
LIMIT_S = 60
MIB = 1 << 20


def measure(folder: Path, first_port: int, *, smoke: bool) -> list[Finding]:
    """Raises `WrongAnswerError` when a caller got no token."""
    count = min(SMOKE_CALLERS if smoke else CALLERS, _allowed_files() - OTHERS)
    limits = {"REQUEST_TIMEOUT_S": str(LIMIT_S), "PARTNER_TIMEOUT_S": str(LIMIT_S)}
    with partner() as pay1st:
        pay1st.hold()
        peer = sidecar("cold", first_port, pay1st.url, MAX_CONNECTIONS=str(2 * count), **limits)
        with running([peer], folder):
            return _stampede(peer, pay1st, count)


def _stampede(peer: Peer, pay1st: Partner, count: int) -> list[Finding]:
    until_it_answers(peer, _waiting)
    before_bytes = peer.resident_bytes
    callers = [_caller(peer) for _ in range(count)]
    while _waiting(peer) < count:
        time.sleep(0.05)
    peak_bytes = peer.resident_bytes
    pay1st.let_go()
    began = time.perf_counter()
    _hear(callers, peer)
    took_s = time.perf_counter() - began
    calls = pay1st.calls
    for caller in callers:
        caller.close()
    # The sidecar checks once a second whether most of many connections have ended.
    time.sleep(3)
    after_bytes = peer.resident_bytes
    return [
        Finding(f"partner calls, {count:,} callers of a replica without a token", str(calls), "1", calls == 1),
        Finding("all have the token, after the partner answered", f"{took_s:.2f} s", "within 1 s", took_s < 1),
        Finding(
            "memory before, while they wait, and after",
            " → ".join(f"{size / MIB:.0f}" for size in (before_bytes, peak_bytes, after_bytes)) + " MiB",
        ),
    ]  # fmt: skip


def _caller(peer: Peer) -> socket.socket:
    caller = socket.create_connection(("127.0.0.1", peer.port))
    caller.sendall(REQUEST)
    caller.setblocking(False)
    return caller


def _hear(callers: list[socket.socket], peer: Peer) -> None:
    poll = select.epoll(len(callers))
    silent = {caller.fileno(): caller for caller in callers}
    for number in silent:
        poll.register(number, select.EPOLLIN)
    while silent:
        for number, _ in poll.poll(LIMIT_S):
            answer = silent.pop(number).recv(65_536)
            poll.unregister(number)
            if not answer.startswith(b"HTTP/1.1 200"):
                raise WrongAnswerError(f"{peer.name} answers {answer[:100]!r}")


def _waiting(peer: Peer) -> int:
    with urllib.request.urlopen(f"{admin_url(peer)}/status.json") as answer:
        return int(json.load(answer)["profiles"]["default"]["waiters"])


def _allowed_files() -> int:
    """Raise the limit of open files of this process and its children to the highest allowed one, and return it."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard if hard != resource.RLIM_INFINITY else CALLERS + OTHERS
