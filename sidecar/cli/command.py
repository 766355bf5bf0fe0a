"""What the commands have in common: exit codes, the form of their help, and how they complain."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sidecar.cli.output import warn

if TYPE_CHECKING:
    # Only for types: at run time this class takes no parameter.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_UNREACHABLE = 3
EXIT_OUTPUT = 74
"""The output cannot be written: EX_IOERR of sysexits.h. Also when the reader of a pipe has gone."""
EXIT_INTERRUPTED = 130
"""What shells expect after Ctrl-C: 128 + SIGINT."""

HELP_FORM = argparse.RawDescriptionHelpFormatter
"""Keeps the line breaks of examples."""


def complain(command: str, line: str) -> None:
    """Say on stderr, in one line, what went wrong; `command` is empty where none was named."""
    warn(f"token-sidecar{' ' if command else ''}{command}: {line}")
