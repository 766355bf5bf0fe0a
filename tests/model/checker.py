"""Compile the model with one set of flags and search it: spin generates a C program, which becomes the checker."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from tests.model.story import steps_of

MODEL = Path(__file__).parent / "protocol.pml"
MEMORY_MIB = 3000
"""The limit of one search. A search that needs more is incomplete, and is no proof."""
DEEPEST = 20_000
"""The most steps of one schedule. A longer one is cut, and the search is no proof."""
SEARCH_LIMIT_S = 600
"""A limit against hangs: the longest search takes half a minute."""


PROPERTIES: dict[str, int] = {
    name: int(bit)
    for name, bit in re.findall(
        r"^#define (\w+) (\d+)$",
        (MODEL.parent / "flags.pml").read_text().partition("/* Properties")[2],
        re.MULTILINE,
    )
}


@dataclass(frozen=True, slots=True)
class Search:
    """`complete`: every state was searched. `story`: the steps to the violation; empty without one."""

    complete: bool
    violated: str
    story: str


def search(folder: Path, flags: Mapping[str, int], checked: str = "") -> Search:
    """Search the model with these flags in `folder`, until the first violation; `checked` is one property, or all."""
    if checked:
        flags = {**flags, "CHECK": PROPERTIES[checked]}
    definitions = [f"-D{name}={value}" for name, value in flags.items()]
    _run(folder, "spin", "-a", *definitions, str(MODEL))
    # SAFETY: no search for cycles. NOREDUCE: the order of steps matters to assertions on shared state.
    _run(folder, "gcc", "-O1", "-w", "-DSAFETY", "-DNOREDUCE", f"-DMEMLIM={MEMORY_MIB}", "-o", "pan", "pan.c")
    # -E: a replica that waits for ever is no violation by itself; recovery is a separate property.
    output = _run(folder, "./pan", "-E", f"-m{DEEPEST}")
    if "errors: 0" in output:
        cut = "max search depth too small" in output or "Search not completed" in output
        return Search(complete=not cut, violated="", story="")
    replay = _run(folder, "./pan", "-r", f"{MODEL.name}.trail", f"-m{DEEPEST}")
    return Search(complete=False, violated=_property(output), story="\n".join(steps_of(replay.splitlines())))


def _property(output: str) -> str:
    """Return the name of the property whose assertion failed."""
    found = re.search(r"assertion violated \(\(\(\d+&\(?(\d+)\)", output)
    assert found is not None, output
    return next(name for name, bit in PROPERTIES.items() if str(bit) == found[1])


def _run(folder: Path, *command: str) -> str:
    ended = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=SEARCH_LIMIT_S, check=False)
    output = ended.stdout + ended.stderr
    # pan exits with 0 with and without a violation; a replay of a violation does not.
    assert ended.returncode == 0 or "-r" in command, output
    return output
