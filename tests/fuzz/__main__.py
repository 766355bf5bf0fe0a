"""`make fuzz`: every target for a while, or one of them, or one kept input again."""

from __future__ import annotations

import argparse
import os
import sys
from importlib.util import find_spec
from pathlib import Path

from tests.fuzz.session import Outcome, fuzz
from tests.fuzz.targets import NAMES, target

_SECONDS = int(os.environ.get("FUZZ_S") or 60)
_RUNS = int(os.environ.get("FUZZ_RUNS") or 0)


def main() -> int:
    asked = _arguments()
    if asked.input is not None:
        # Without atheris, so that a debugger works and the traceback is plain.
        target(asked.target).check(asked.input.read_bytes())
        print("This input breaks nothing.")
        return 0
    if find_spec("atheris") is None:
        print("atheris is not installed: make fuzz", file=sys.stderr)
        return 1
    return max(
        [_print_outcome(fuzz(name, asked.seconds, asked.runs)) for name in ([asked.target] if asked.target else NAMES)]
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("target", nargs="?", choices=NAMES, help="this one alone")
    parser.add_argument("input", nargs="?", type=Path, help="a kept input to check again")
    parser.add_argument("--seconds", type=int, default=_SECONDS, help="for each target (default: %(default)s)")
    parser.add_argument("--runs", type=int, default=_RUNS, help="this number of runs instead")
    return parser.parse_args()


def _print_outcome(outcome: Outcome) -> int:
    """Print the outcome; return 1 if the run failed."""
    if not outcome.failed:
        print(outcome, flush=True)
        return 0
    print(f"{outcome.name}: see {outcome.log}", file=sys.stderr)
    for path in outcome.findings:
        print(f"  once more: make fuzz TARGET={outcome.name} INPUT={path}", file=sys.stderr, flush=True)
    return 1


if __name__ == "__main__":
    sys.exit(main())
