"""`make simulate`: ten thousand schedules, on all cores. The first broken invariant is reported and ends the run."""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter

from tests.simulation.run import run_seed
from tests.simulation.verdict import Verdict

SHOW_EVERY_S = 10


def main() -> int:
    asked = _arguments()
    if asked.seed is not None:
        verdict = run_seed(asked.seed)
        print(verdict.report())
        return 1 if verdict.violation else 0
    return _all(range(asked.first, asked.first + asked.seeds), asked.jobs)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many schedules (default: %(default)s)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (default: %(default)s)")
    parser.add_argument("--seed", type=int, help="this one alone, with its history")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: %(default)s)")
    return parser.parse_args()


def _all(seeds: range, jobs: int) -> int:
    began = shown = time.monotonic()
    totals: Counter[str] = Counter()
    with multiprocessing.Pool(jobs) as pool:
        for verdict in pool.imap_unordered(run_seed, seeds, chunksize=4):
            if verdict.violation:
                print(verdict.report(), file=sys.stderr)
                return 1
            _count(totals, verdict)
            if time.monotonic() - shown > SHOW_EVERY_S:
                shown = time.monotonic()
                print(f"{totals['seeds']} of {len(seeds)} seeds", flush=True)
    print(f"{_summary(totals)} {time.monotonic() - began:.0f} s on {jobs} cores; every invariant held.")
    return 0


def _count(totals: Counter[str], verdict: Verdict) -> None:
    totals.update(
        seeds=1,
        replicas=verdict.plan.replicas,
        faults=verdict.faults,
        calls=verdict.calls,
        vended=verdict.vended,
        suspect=verdict.suspect,
        refused=verdict.refused,
        virtual_s=round(verdict.virtual_s),
    )


def _summary(totals: Counter[str]) -> str:
    return (
        f"{totals['seeds']} seeds, {totals['replicas']} replicas, {totals['virtual_s'] / 3600:.0f} virtual hours, "
        f"{totals['faults']} faults, {totals['calls']} partner calls, {totals['vended']} answers with a good token, "
        f"{totals['suspect']} with a suspect one, {totals['refused']} clear refusals."
    )


if __name__ == "__main__":
    sys.exit(main())
