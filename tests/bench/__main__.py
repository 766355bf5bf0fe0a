"""`make bench`: the sidecar beside what users would pick instead. Writes deploy/BENCHMARKS.md.

BENCH_ROUNDS (3) rounds of BENCH_S (3) seconds each for every server and scenario; with BENCH_SMOKE=1 one short round of
everything, and nothing is written.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sidecar.app.clock import SystemClock
from sidecar.core.model import Secret
from sidecar.partner.sandbox import Sandbox, SandboxConfig
from tests.bench import report
from tests.bench.measure import check, measure, running
from tests.bench.peers import Peer, peers, sidecar
from tests.fakes.replica import START_LIMIT_S, until

FIRST_PORT = 28_100
OFF = "sidecar, SIDECAR_WARM=off"
TOP = Path(__file__).resolve().parents[2]


@contextmanager
def partner() -> Iterator[str]:
    """The sandbox on a thread of its own; its URL."""
    ready, over = threading.Event(), threading.Event()
    urls: list[str] = []

    async def serve() -> None:
        config = SandboxConfig(api_key=Secret("bench-key"), api_secret=Secret("bench-secret"))
        sandbox = Sandbox(config, SystemClock())
        urls.append(await sandbox.start())
        ready.set()
        await asyncio.to_thread(over.wait)
        await sandbox.stop()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait()
    try:
        yield urls[0]
    finally:
        over.set()
        thread.join()


def main() -> None:
    smoke = os.environ.get("BENCH_SMOKE") == "1"
    rounds = 1 if smoke else int(os.environ.get("BENCH_ROUNDS", "3"))
    seconds = 1 if smoke else int(os.environ.get("BENCH_S", "3"))
    with tempfile.TemporaryDirectory() as name, partner() as partner_url:
        folder = Path(name)
        ours = [
            sidecar(report.OURS, FIRST_PORT + 20, FIRST_PORT + 21, partner_url),
            sidecar(OFF, FIRST_PORT + 22, FIRST_PORT + 23, partner_url, WARM="off"),
        ]
        with running(ours, folder):
            body = _first_answer(ours[0])
            others = peers(folder, FIRST_PORT, body)
            with running(others, folder):
                everyone = [*others, *ours]
                for peer in everyone:
                    _first_answer(peer)
                results = measure(everyone, rounds=rounds, seconds=seconds, say=print)
    names = [peer.name for peer in everyone]
    text = report.page(results, names, rounds, seconds)
    print(text)
    if not smoke:
        (TOP / "deploy/BENCHMARKS.md").write_text(text, encoding="utf-8")
        (TOP / "deploy/benchmarks.svg").write_text(report.picture(results, names), encoding="utf-8")


def _first_answer(peer: Peer) -> bytes:
    """Ask until there is an answer: a server that has just been started needs a moment."""
    found: list[bytes] = []

    def answers() -> bool:
        try:
            found.append(check(peer))
        except OSError:
            return False
        return True

    asyncio.run(until(answers, START_LIMIT_S))
    return found[0]


if __name__ == "__main__":
    main()
