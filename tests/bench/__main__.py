"""`make bench`: the sidecar and the programs that users could use instead. Writes docs/benchmarks.md.

BENCH_ROUNDS (7) rounds of BENCH_S (2) seconds each for every server and scenario; with BENCH_SMOKE=1 one short round of
everything, and nothing is written. With arguments only these parts are measured and printed: footprint, rotation,
stampede, gateway; or `speed` with names of configurations and keys of scenarios after it (`speed caller-token
kept-64`); or `against COMMIT`, which measures this tree beside an earlier one. `write` before names of parts
replaces their sections in docs/benchmarks.md.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tests.bench import against, footprint, gateway, report, rotation, stampede
from tests.bench.findings import Finding, table
from tests.bench.measure import Results
from tests.bench.scenarios import SCENARIOS, Scenario, selected
from tests.bench.speed import measure_speed


class Part(Protocol):
    """A part that is measured besides speed."""

    def measure(self, folder: Path, first_port: int, *, smoke: bool) -> list[Finding]: ...


FIRST_PORT = 28_100
PARTS: dict[str, Part] = {"footprint": footprint, "rotation": rotation, "stampede": stampede, "gateway": gateway}
TITLES = {"footprint": "Footprint", "rotation": "Through a rotation", "stampede": "Cold stampede", "gateway": "Gateway"}
AUDIT = "Audit lines"
SMOKE = os.environ.get("BENCH_SMOKE") == "1"
ROUNDS = 1 if SMOKE else int(os.environ.get("BENCH_ROUNDS", "7"))
SECONDS = 1 if SMOKE else int(os.environ.get("BENCH_S", "2"))
TOP = Path(__file__).resolve().parents[2]


def main() -> None:
    words = sys.argv[1:]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        if not words:
            _everything(folder)
        elif words[0] == "speed":
            _speed_alone(folder, words[1:])
        elif words[0] == "against" and len(words) == 2:
            print(table(against.measure(folder, FIRST_PORT, words[1], rounds=ROUNDS, seconds=SECONDS)))
        else:
            writes = words[0] == "write"
            for name in words[writes:]:
                _part_alone(folder, name, writes=writes and not SMOKE)


def _everything(folder: Path) -> None:
    results, audit = _speed(folder, SCENARIOS, all_of_them=not SMOKE)
    beside = {AUDIT: audit}
    for title, part in PARTS.items():
        beside[TITLES[title]] = part.measure(folder, FIRST_PORT, smoke=SMOKE)
        print(f"{title}: measured")
    text = report.page(results, SCENARIOS, ROUNDS, SECONDS, beside)
    print(text)
    if not SMOKE:
        (TOP / "docs/benchmarks.md").write_text(text, encoding="utf-8")
        (TOP / "docs/benchmarks.svg").write_text(report.picture(results, SCENARIOS[0]), encoding="utf-8")


def _part_alone(folder: Path, name: str, *, writes: bool) -> None:
    findings = PARTS[name].measure(folder, FIRST_PORT, smoke=SMOKE)
    print(table(findings))
    if writes:
        page = TOP / "docs/benchmarks.md"
        page.write_text(report.with_section(page.read_text(encoding="utf-8"), TITLES[name], findings), encoding="utf-8")


def _speed_alone(folder: Path, words: Sequence[str]) -> None:
    try:
        scenarios = selected(words)
    except ValueError as error:
        sys.exit(str(error))
    results, audit = _speed(folder, scenarios, all_of_them=False)
    print(report.speed(results, scenarios), *([table(audit)] if audit else []), sep="\n")


def _speed(folder: Path, scenarios: Sequence[Scenario], *, all_of_them: bool) -> tuple[Results, list[Finding]]:
    """Without `all_of_them`, servers whose programs are not installed are left out."""
    return measure_speed(
        folder, FIRST_PORT, scenarios, rounds=ROUNDS, seconds=SECONDS, all_of_them=all_of_them, log=print
    )


if __name__ == "__main__":
    main()
