"""Tell a counterexample as what changed at each step: reads the output of `pan -r` on stdin.

Each step names the replica, what it did and, for an operation of the store, the outcome; then, field by field, what is
different in the store, in the replica's memory, in its call and in the world since that part was last shown.
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


def told(lines: Iterable[str]) -> Iterator[str]:
    """The steps, and whatever spin says of the violation."""
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
    sys.stdout.writelines(line + "\n" for line in told(sys.stdin))
