"""Rounds of every scenario against every peer, interleaved, so that what the machine does meanwhile hits all alike."""

from __future__ import annotations

import statistics
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from tests.bench.load import WrongAnswerError, paced, wrk
from tests.bench.peers import HERE, Peer
from tests.fakes.replica import HANG_S

T = TypeVar("T")

TRACE = str(HERE / "trace.lua")


@dataclass(frozen=True)
class Scenario:
    """`measure` answers a number; of two servers the better one has the larger, or with `less` the smaller one."""

    key: str
    title: str
    unit: str
    measure: Callable[[Peer, int], float]
    less: bool = False


SCENARIOS = (
    Scenario("many", "16 connections", "requests/s", lambda peer, s: wrk(peer, connections=16, seconds=s).per_s),
    Scenario("one", "1 connection, p50", "µs", lambda p, s: wrk(p, connections=1, seconds=s).p50_s * 1e6, less=True),
    Scenario(
        "new", "a new connection each", "requests/s",
        lambda peer, s: wrk(peer, connections=16, seconds=s, headers=("Connection: close",)).per_s,
    ),
    Scenario("trace", "a header that differs each time", "requests/s",
             lambda peer, s: wrk(peer, connections=16, seconds=s, script=TRACE).per_s),
    Scenario("paced", "500/s, p99", "µs",
             lambda peer, s: paced(peer, per_s=500, seconds=s).p99_s * 1e6, less=True),
)  # fmt: skip


@dataclass
class Results:
    """The numbers of every round, by scenario and peer."""

    rounds: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    busy: dict[tuple[str, str], list[float]] = field(default_factory=lambda: defaultdict(list))
    """The share of its core that a server spent in each round: below 1 the load's core was the limit."""
    resident_bytes: dict[str, int] = field(default_factory=dict)

    def median(self, scenario: str, peer: str) -> float:
        return statistics.median(self.rounds[scenario, peer])

    def spread(self, scenario: str, peer: str) -> float:
        """How far the rounds lie apart, as a share of their median."""
        numbers = self.rounds[scenario, peer]
        return (max(numbers) - min(numbers)) / statistics.median(numbers)

    def ratio(self, scenario: str, ours: str, theirs: str) -> float:
        return self.median(scenario, ours) / self.median(scenario, theirs)


@contextmanager
def running(peers: list[Peer], folder: Path) -> Iterator[None]:
    try:
        for peer in peers:
            peer.start(folder / f"{peer.port}.log")
        yield
    finally:
        for peer in peers:
            peer.stop()


def until_it_answers(peer: Peer, ask: Callable[[Peer], T]) -> T:
    """Ask until there is an answer, for a server that has just been started.

    Raises `RuntimeError` with what it said when it ended, or takes too long.
    """
    latest = time.monotonic() + HANG_S
    while True:
        try:
            return ask(peer)
        except OSError:
            if peer.ended or time.monotonic() > latest:
                raise RuntimeError(f"{peer.name} does not answer; it said: {peer.said}") from None
            time.sleep(0.001)


def measure(peers: list[Peer], *, rounds: int, seconds: int, say: Callable[[str], None]) -> Results:
    """Raises `WrongAnswerError` when a server answers anything but the body that all of them have."""
    results = Results()
    for number in range(rounds):
        for scenario in SCENARIOS:
            for peer in peers:
                check(peer)
                began, spent_s = time.monotonic(), peer.cpu_s
                results.rounds[scenario.key, peer.name].append(scenario.measure(peer, seconds))
                busy = (peer.cpu_s - spent_s) / (time.monotonic() - began)
                results.busy[scenario.key, peer.name].append(busy)
            say(f"round {number + 1} of {rounds}: {scenario.title}")
    for peer in peers:
        results.resident_bytes[peer.name] = peer.resident_bytes
    return results


def check(peer: Peer) -> bytes:
    """The body of one answer, which has to hold a token."""
    request = urllib.request.Request(peer.url, headers={"Sidecar-Request": "true"})
    with urllib.request.urlopen(request, timeout=5) as answer:
        body: bytes = answer.read()
    if b'"accessToken":"' not in body or len(body) < 500:
        raise WrongAnswerError(f"{peer.name} answers {body[:200]!r}")
    return body
