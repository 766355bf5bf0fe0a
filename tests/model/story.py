"""Print a counterexample as the changes of each step: reads the output of `pan -r` on stdin.

Each step names the replica, its action and, for an operation of the store, the outcome. Then come the fields that
have changed in the store, in the replica's memory, in its call and in the world since that part was last shown.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator

OUTCOMES = (
    "",
    "granted",
    "adopt",
    "held",
    "cooling-down",
    "over-budget",
    "stored",
    "older",
    "current",
    "confirmed",
    "late",
)
PLACES = (
    "idle",
    "top",
    "waiting",
    "claiming",
    "claim-seed",
    "ready",
    "calling",
    "committing",
    "commit-seed",
    "failing",
    "fail-seed",
    "look-seed",
)
SHARED = ("store", "world")


def steps_of(lines: Iterable[str]) -> Iterator[str]:
    """Yield the steps, and spin's lines about the violation."""
    shown: dict[str, list[str]] = {}
    for line in lines:
        text = line.strip()
        if text.startswith("@"):
            yield from _step(text[1:], shown)
        elif "assert" in text:
            yield text


def _step(text: str, shown: dict[str, list[str]]) -> Iterator[str]:
    head, *parts = text.split(" | ")
    what, _, outcome = head.partition(" -> ")
    replica, _, action = what.partition(" ")
    yield f"replica {replica} {action}" + (f": {OUTCOMES[int(outcome)]}" if outcome != "0" else "")
    for part in parts:
        name, *fields = part.split()
        key = name if name in SHARED else name + replica
        changed = [_plain(field) for field in fields if field not in shown.get(key, [])]
        shown[key] = fields
        if changed:
            yield f"    {name}: " + " ".join(changed)


def _plain(field: str) -> str:
    name, _, value = field.partition("=")
    return f"at={PLACES[int(value)]}" if name == "at" else field


if __name__ == "__main__":
    sys.stdout.writelines(line + "\n" for line in steps_of(sys.stdin))
