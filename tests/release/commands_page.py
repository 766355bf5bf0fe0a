"""docs/commands.md: the output of `--help`. `python -m tests.release.commands_page` writes it."""

from __future__ import annotations

import os
import subprocess
import sys

from tests.release.checkout import TOP

PAGE = TOP / "docs/commands.md"
COLUMNS = 100
"""Argparse wraps lines at the width of the terminal, which is fixed here."""

_HEAD = f"""\
# Commands

What `token-sidecar --help` prints, and `--help` of each command, on a terminal {COLUMNS} columns wide.
"""


def commands() -> list[str]:
    """Return the commands that the program's help lists, in its order."""
    listed = help_of().split("  COMMAND\n", 1)[1].split("\n\n", 1)[0]
    return [line.split()[0] for line in listed.splitlines()]


def help_of(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "sidecar", *command, "--help"],
        cwd=TOP,
        env={"PATH": os.defpath, "COLUMNS": str(COLUMNS), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def page() -> str:
    """Return the whole page."""
    lines = [["token-sidecar"], *(["token-sidecar", command] for command in commands())]
    return "\n".join([_HEAD, *(f"## {' '.join(line)}\n\n```\n{help_of(*line[1:])}```\n" for line in lines)])


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
