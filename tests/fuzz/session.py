"""A bounded run of one target under atheris, and its outcome."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.fuzz.targets import CORPUS, target

KEPT = Path(".fuzz")
"""The files of runs: inputs that reached new code, findings and logs. Not in the repository."""
_HANG_S = 20
_MEMORY_MIB = 1024
_LONGEST_INPUT_BYTES = 4096
_RUNS = re.compile(r"^Done (\d+) runs in (\d+) second", re.MULTILINE)


@dataclass(frozen=True)
class Outcome:
    """`findings` are the failing inputs; `failed` without one means that the fuzzer itself did not run."""

    name: str
    runs: int
    seconds: int
    findings: tuple[Path, ...]
    failed: bool
    log: Path

    def __str__(self) -> str:
        return f"{self.name:<15} {self.runs:>10,} runs in {self.seconds:>4} s"


def fuzz(name: str, seconds: int, runs: int) -> Outcome:
    """Run the target for `seconds`, from the repository's corpus and from inputs that earlier runs kept.

    With `runs` (not 0) make this number of runs instead, from one seed: the same work on every machine.
    """
    folder = KEPT / name
    found = folder / "corpus"
    found.mkdir(parents=True, exist_ok=True)
    log, before = folder / "log", set(_findings(folder))
    with log.open("wb") as output:
        ended = subprocess.run(
            _command(name, _bounds(seconds, runs), folder, found), stdout=output, stderr=output, check=False
        )
    done = _RUNS.search(log.read_text(encoding="utf-8", errors="replace"))
    return Outcome(
        name=name,
        runs=int(done[1]) if done else 0,
        seconds=int(done[2]) if done else 0,
        findings=tuple(sorted(set(_findings(folder)) - before)),
        failed=ended.returncode != 0 or done is None,
        log=log,
    )


def _command(name: str, bounds: Sequence[str], folder: Path, found: Path) -> list[str]:
    return [
        sys.executable, "-m", "tests.fuzz.watched", name,
        *bounds, f"-timeout={_HANG_S}", f"-rss_limit_mb={_MEMORY_MIB}",
        f"-max_len={_LONGEST_INPUT_BYTES}", f"-dict={_dictionary(name, folder)}", f"-artifact_prefix={folder}/",
        str(found), str(CORPUS / name),
    ]  # fmt: skip


def _bounds(seconds: int, runs: int) -> Sequence[str]:
    return (f"-runs={runs}", "-seed=1") if runs else (f"-max_total_time={seconds}",)


def _dictionary(name: str, folder: Path) -> Path:
    """Return the target's words in libFuzzer's format."""
    path = folder / "words.dict"
    lines = ('"' + "".join(f"\\x{byte:02X}" for byte in word) + '"\n' for word in target(name).words)
    path.write_text("".join(lines), encoding="ascii")
    return path


def _findings(folder: Path) -> list[Path]:
    """Return the findings, which libFuzzer names by the kind of failure and the input's digest."""
    return [path for kind in ("crash", "timeout", "oom", "leak") for path in folder.glob(f"{kind}-*")]
