"""The checkout as git knows it."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

TOP = Path(__file__).parents[2]


def git(*arguments: str) -> str:
    """What git says of the checkout."""
    return subprocess.run(["git", *arguments], cwd=TOP, capture_output=True, text=True, check=True).stdout


def known(*under: str) -> list[str]:
    """The files that git knows, as paths from the top; all of them, or those under the given folders."""
    return git("ls-files", "-z", "--", *under).split("\0")[:-1]


def copied(into: Path) -> Path:
    """The known files as they are now, in `into`: what else lies in the checkout cannot get into a package."""
    for name in known():
        target = into / name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(TOP / name, target)
        # A wheel keeps modes, and those of a checkout depend on who made it.
        target.chmod(0o644)
    return into
