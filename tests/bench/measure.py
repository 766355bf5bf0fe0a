"""Rounds of every scenario against its servers, interleaved, so that changes of the machine affect all equally."""

from __future__ import annotations

import statistics
import time
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import TypeVar

from tests.bench.load import Rate, WrongAnswerError, apply_load
from tests.bench.peers import TOKEN_PATH, Peer, admin_url
from tests.bench.scenarios import Figure, Scenario
from tests.support.replica import HANG_S

T = TypeVar("T")


@dataclass(frozen=True)
class Turn:
    """One server in one scenario and one round.

    `busy` is the share of its core that the server used: well below 1 the load's core was the limit. `resident_bytes`
    is its memory after the load.
    """

    rate: Rate
    busy: float
    resident_bytes: int


@dataclass
class Results:
    """The turns of all rounds, by the scenario's key and the server's name."""

    turns: dict[tuple[str, str], list[Turn]] = field(default_factory=lambda: defaultdict(list))

    def of(self, scenario: str, server: str) -> list[Turn]:
        """Return the turns; empty if the server was not measured."""
        return self.turns.get((scenario, server), [])

    def median(self, scenario: str, server: str, figure: Figure) -> float:
        return statistics.median(self._figures(scenario, server, figure))

    def spread(self, scenario: str, server: str, figure: Figure) -> float:
        """Return the spread of the rounds, as a share of their median."""
        figures = self._figures(scenario, server, figure)
        return (max(figures) - min(figures)) / statistics.median(figures)

    def ratio(self, scenario: str, ours: str, theirs: str, figure: Figure) -> float:
        """Return the ratio of the medians."""
        return self.median(scenario, ours, figure) / self.median(scenario, theirs, figure)

    def _figures(self, scenario: str, server: str, figure: Figure) -> list[float]:
        return [getattr(turn.rate, figure) for turn in self.turns[scenario, server]]


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
    """Send requests until there is a response, for a server that has just been started.

    Raises `RuntimeError` with its output if it ends or takes too long.
    """
    latest = time.monotonic() + HANG_S
    while True:
        try:
            return ask(peer)
        except OSError:
            if peer.ended or time.monotonic() > latest:
                raise RuntimeError(f"{peer.name} does not answer; its output: {peer.output}") from None
            time.sleep(0.001)


def measure(
    peers: list[Peer],
    scenarios: Sequence[Scenario],
    *,
    rounds: int,
    seconds: int,
    generator: Path,
    log: Callable[[str], None],
) -> Results:
    """Measure the servers of each scenario that are among `peers`; in every other round in the opposite order.

    Raises `WrongAnswerError` when a server answers anything but a token.
    """
    results = Results()
    by_name = {peer.name: peer for peer in peers}
    for number in range(rounds):
        for scenario in scenarios:
            there = [by_name[name] for name in scenario.servers if name in by_name]
            for peer in there if number % 2 == 0 else reversed(there):
                check(peer)
                began, spent_s = time.monotonic(), peer.cpu_s
                rate = apply_load(scenario.load, peer, seconds=seconds, generator=generator)
                busy = (peer.cpu_s - spent_s) / (time.monotonic() - began)
                results.turns[scenario.key, peer.name].append(Turn(rate, busy, peer.resident_bytes))
            log(f"round {number + 1} of {rounds}: {scenario.title}")
    return results


def check(peer: Peer) -> bytes:
    """Return the body of one response; from the token's path it must hold one. Raises `OSError` unless it is 200."""
    connection = HTTPConnection("localhost")
    connection.sock = peer.connect()
    try:
        connection.request("GET", peer.path, headers={"Sidecar-Request": "true", **peer.headers})
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    if answer.status != 200:
        raise OSError(f"{peer.name} answers {answer.status}: {body[:200]!r}")
    if peer.path == TOKEN_PATH and (b'"accessToken":"' not in body or len(body) < 500):
        raise WrongAnswerError(f"{peer.name} answers {body[:200]!r}")
    return body


def counted(peer: Peer, series: str) -> int:
    """Return the sum of all series of a sidecar whose name and labels begin with `series`."""
    with urllib.request.urlopen(f"{admin_url(peer)}/metrics") as answer:
        lines = answer.read().decode().splitlines()
    return sum(int(float(line.rpartition(" ")[2])) for line in lines if line.startswith(series))
