"""This tree beside an earlier commit, by the same means in turns: `make bench ARGS="against COMMIT"`.

Neither has any optional part set up: memory, time to the first token, and rate show what a change costs everyone.
"""

from __future__ import annotations

import statistics
import subprocess
import time
from collections import defaultdict
from pathlib import Path

from tests.bench.findings import Finding
from tests.bench.load import Load, wrk
from tests.bench.measure import check, running, until_it_answers
from tests.bench.partner import Partner, partner
from tests.bench.peers import Peer, sidecar

TOP = Path(__file__).resolve().parents[2]
MIB = 1 << 20
CONNECTIONS = 16
MOST = 1.02
"""The goal: this tree needs at most this many times as much."""


def measure(folder: Path, first_port: int, commit: str, *, rounds: int, seconds: int) -> list[Finding]:
    """Raises `CalledProcessError` for an unknown commit."""
    earlier = folder / "earlier"
    earlier.mkdir()
    packed = subprocess.run(["git", "archive", commit, "sidecar"], cwd=TOP, check=True, capture_output=True).stdout
    subprocess.run(["tar", "x", "-C", earlier], input=packed, check=True)
    trees = {"earlier": earlier, "now": TOP}
    found: dict[str, dict[str, list[float]]] = {name: defaultdict(list) for name in trees}
    with partner() as pay1st:
        for number in range(rounds):
            for name in trees if number % 2 == 0 else reversed(trees):
                peer = _peer(name, trees[name], first_port, pay1st)
                for what, figure in _figures(peer, folder, seconds).items():
                    found[name][what].append(figure)
    return [_finding(what, found["earlier"][what], found["now"][what]) for what in found["now"]]


def _peer(name: str, tree: Path, port: int, pay1st: Partner) -> Peer:
    peer = sidecar(name, port, pay1st.url)
    # -P: without the current folder, in which there is a `sidecar` too.
    python, *words = peer.command
    peer.command, peer.environ = [python, "-P", *words], {**peer.environ, "PYTHONPATH": str(tree)}
    return peer


def _figures(peer: Peer, folder: Path, seconds: int) -> dict[str, float]:
    began = time.perf_counter()
    with running([peer], folder):
        until_it_answers(peer, check)
        started_s, resident_bytes = time.perf_counter() - began, peer.resident_bytes
        start_cpu_s = peer.cpu_s
        rate = wrk(peer, Load(CONNECTIONS), seconds=seconds)
        request_cpu_s = (peer.cpu_s - start_cpu_s) / (rate.per_s * seconds)
    return {
        "resident memory with the first token, MiB": resident_bytes / MIB,
        "start to the first token, ms": started_s * 1e3,
        "CPU time until then, ms": start_cpu_s * 1e3,
        f"time of a warm request, {CONNECTIONS} connections, µs": 1e6 / rate.per_s,
        "CPU time of a warm request, µs": request_cpu_s * 1e6,
    }


def _finding(what: str, earlier: list[float], now: list[float]) -> Finding:
    """The ratio is the median of those of the rounds, in which both were measured one after the other."""
    times = statistics.median(mine / theirs for mine, theirs in zip(now, earlier, strict=True))
    figure = f"{statistics.median(now):.2f} and {statistics.median(earlier):.2f} earlier, {times:.3f} of it"
    return Finding(what, figure, f"at most {MOST:g}", times <= MOST)
