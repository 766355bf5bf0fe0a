"""The files of the checkout that git tracks."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).parents[2]


def git(*arguments: str) -> str:
    """Return the output of git for the checkout."""
    return subprocess.run(["git", *arguments], cwd=TOP, capture_output=True, text=True, check=True).stdout


def tracked(*under: str) -> list[str]:
    """Return the tracked files, as paths from the top: all of them, or those under the given folders."""
    return git("ls-files", "-z", "--", *under).split("\0")[:-1]


def copied(into: Path) -> Path:
    """Copy the tracked files to `into`, so that no other file of the checkout gets into a package."""
    for name in tracked():
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / name, target)
        # A wheel keeps modes, and those of a checkout depend on its user.
        target.chmod(0o644)
    return into
