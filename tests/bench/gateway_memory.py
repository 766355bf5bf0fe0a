"""The memory of a sidecar whose gateway holds as much as it may: bodies while the partner is silent, long responses."""

from __future__ import annotations

import json
import socket
import time
import urllib.request
from contextlib import ExitStack
from pathlib import Path

from sidecar.gateway.forwarder import MAX_CALLS
from sidecar.gateway.handler import TOTAL_BODY_BYTES
from tests.bench.configurations import with_gateway
from tests.bench.findings import Finding
from tests.bench.load import WrongAnswerError
from tests.bench.measure import check, running, until_it_answers
from tests.bench.partner import Partner, partner
from tests.bench.peers import Peer
from tests.support.replica import HANG_S
from tests.support.resident import watched_memory

CALLS = 64
MIB = 1 << 20
PATH = "/api/pay1st/payments/create"
HEAD = (
    f"POST {PATH} HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\nContent-Length: {MIB}\r\n"
    "Expect: 100-continue\r\n\r\n"
).encode()
SENT = min(CALLS, TOTAL_BODY_BYTES // MIB)
"""The gateway refuses the others."""
LIMIT_BYTES = 192 * MIB
"""Of the container with a gateway, as deploy/README.md says."""
TURNS = 3
"""Memory that is lost would grow with each."""


def large_bodies(folder: Path, port: int) -> Finding:
    with partner() as pay1st:
        _delay(pay1st)
        peer = with_gateway(folder, port, pay1st.url)
        with running([peer], folder):
            until_it_answers(peer, check)
            before_bytes = peer.resident_bytes
            assert peer.process is not None
            with watched_memory(peer.process.pid) as growth:
                during = [_turn(peer, pay1st, port + 2) for _ in range(TURNS)]
            after_bytes = peer.resident_bytes
    sizes = (before_bytes, max(during), after_bytes)
    peak_bytes = before_bytes + growth.peak_bytes
    refused = f" ({CALLS - SENT} of them refused)" if CALLS > SENT else ""
    return Finding(
        f"memory before, with {CALLS} calls of 1 MiB under way{refused}, and after {TURNS} such turns",
        f"{' → '.join(f'{size / MIB:.0f}' for size in sizes)} MiB, at most {peak_bytes / MIB:.0f} MiB",
        f"less than {LIMIT_BYTES // MIB} MiB",
        peak_bytes < LIMIT_BYTES,
    )


def slow_apps(folder: Path, port: int, partner_url: str, path: str, length: int) -> Finding:
    """Measure with as many calls as may be under way, whose apps read nothing of responses of `length` bytes."""
    peer = with_gateway(folder, port, partner_url)
    peer.discards_output = True
    with running([peer], folder), ExitStack() as stack:
        until_it_answers(peer, check)
        before_bytes = peer.resident_bytes
        for _ in range(MAX_CALLS):
            app = stack.enter_context(socket.create_connection(("127.0.0.1", port + 2), timeout=HANG_S))
            app.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nSidecar-Request: true\r\n\r\n".encode())
            if not (head := app.recv(16)).startswith(b"HTTP/1.1 200"):
                raise WrongAnswerError(f"{peer.name} answers {head!r}")
        during_bytes = _settled(peer)
    return Finding(
        f"memory before, and with {MAX_CALLS} apps that read nothing of responses of {length / MIB:.0f} MiB",
        f"{before_bytes / MIB:.0f} → {during_bytes / MIB:.0f} MiB",
        f"less than {LIMIT_BYTES // MIB} MiB",
        during_bytes < LIMIT_BYTES,
    )


def _settled(peer: Peer) -> int:
    """Return the memory once it has not changed for a second."""
    sizes = [peer.resident_bytes]
    while len(sizes) < 2 or sizes[-1] != sizes[-2]:
        time.sleep(1)
        sizes.append(peer.resident_bytes)
    return sizes[-1]


def _delay(pay1st: Partner) -> None:
    fault = {"fault": "slow", "count": 0, "path": PATH}
    urllib.request.urlopen(f"{pay1st.url}/_sandbox/faults", data=json.dumps(fault).encode()).close()


def _turn(peer: Peer, pay1st: Partner, port: int) -> int:
    """Return the memory while the calls wait for the partner. Raises `WrongAnswerError` for another answer."""
    pay1st.hold()
    expected = pay1st.arrived(PATH) + SENT
    callers = [socket.create_connection(("127.0.0.1", port), timeout=HANG_S) for _ in range(CALLS)]
    for caller in callers:
        caller.sendall(HEAD)
    heads = [caller.recv(65_536) for caller in callers]
    accepted = [caller for caller, head in zip(callers, heads, strict=True) if head.startswith(b"HTTP/1.1 100")]
    refused = sum(head.startswith(b"HTTP/1.1 503") for head in heads)
    if (len(accepted), refused) != (SENT, CALLS - SENT):
        raise WrongAnswerError(f"{peer.name} accepts {len(accepted)} calls, and {refused} get 503")
    for caller in accepted:
        caller.sendall(b"x" * MIB)
    until = time.monotonic() + HANG_S
    while pay1st.arrived(PATH) < expected:
        if time.monotonic() > until:
            raise WrongAnswerError(f"{peer.name}: the calls do not arrive at the partner")
        time.sleep(0.01)
    during_bytes = peer.resident_bytes
    pay1st.let_go()
    for caller in accepted:
        if b"Sidecar-Answer: partner" not in (answer := caller.recv(65_536)):
            raise WrongAnswerError(f"{peer.name} answers {answer[:200]!r}")
    for caller in callers:
        caller.close()
    return during_bytes
