"""`make bench`: the sidecar beside what users would pick instead. Writes deploy/BENCHMARKS.md.

BENCH_ROUNDS (3) rounds of BENCH_S (3) seconds each for every server and scenario; with BENCH_SMOKE=1 one short round of
everything, and nothing is written. With arguments (footprint, rotation, stampede) only those are measured, and shown.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path
from typing import Protocol

from tests.bench import footprint, report, rotation, stampede
from tests.bench.findings import Finding, table
from tests.bench.measure import Results, check, measure, running, until_it_answers
from tests.bench.partner import partner
from tests.bench.peers import peers, sidecar


class Part(Protocol):
    """One more thing to measure."""

    def measure(self, folder: Path, first_port: int, *, smoke: bool) -> list[Finding]: ...


FIRST_PORT = 28_100
PARTS: dict[str, Part] = {"footprint": footprint, "rotation": rotation, "stampede": stampede}
TITLES = {"footprint": "Footprint", "rotation": "Through a rotation", "stampede": "Cold stampede"}
OFF = "sidecar, SIDECAR_WARM=off"
TOP = Path(__file__).resolve().parents[2]


def main() -> None:
    smoke = os.environ.get("BENCH_SMOKE") == "1"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if sys.argv[1:]:
            for title in sys.argv[1:]:
                print(table(PARTS[title].measure(folder, FIRST_PORT, smoke=smoke)))
            return
        rounds = 1 if smoke else int(os.environ.get("BENCH_ROUNDS", "3"))
        seconds = 1 if smoke else int(os.environ.get("BENCH_S", "3"))
        results, names = _speed(folder, rounds, seconds, smoke=smoke)
        beside = {}
        for title, part in PARTS.items():
            beside[TITLES[title]] = part.measure(folder, FIRST_PORT, smoke=smoke)
            print(f"{title}: measured")
    text = report.page(results, names, rounds, seconds, beside)
    print(text)
    if not smoke:
        (TOP / "deploy/BENCHMARKS.md").write_text(text, encoding="utf-8")
        (TOP / "deploy/benchmarks.svg").write_text(report.picture(results, names), encoding="utf-8")


def _speed(folder: Path, rounds: int, seconds: int, *, smoke: bool) -> tuple[Results, list[str]]:
    """Of the sidecar and everybody beside it, and their names; in a smoke run of those whose programs are there."""
    with partner() as pay1st:
        ours = [
            sidecar(report.OURS, FIRST_PORT + 20, pay1st.url),
            sidecar(OFF, FIRST_PORT + 22, pay1st.url, WARM="off"),
        ]
        with running(ours, folder):
            body = until_it_answers(ours[0], check)
            others = peers(folder, FIRST_PORT, body, all_of_them=not smoke)
            with running(others, folder):
                everyone = [*others, *ours]
                for peer in everyone:
                    until_it_answers(peer, check)
                results = measure(everyone, rounds=rounds, seconds=seconds, say=print)
    return results, [peer.name for peer in everyone]


if __name__ == "__main__":
    main()
