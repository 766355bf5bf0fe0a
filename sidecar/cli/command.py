"""Shared by the commands: exit codes, the format of help texts, and error output."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from sidecar.cli.output import warn

if TYPE_CHECKING:
    # Only for types: at run time this class takes no type parameter.
    Commands = argparse._SubParsersAction[argparse.ArgumentParser]  # noqa: SLF001 - argparse has no public name for it

EXIT_OK = 0
EXIT_FAILED = 1
EXIT_CONFIGURATION = 2
EXIT_UNREACHABLE = 3
EXIT_OUTPUT = 74
"""The output cannot be written: EX_IOERR of sysexits.h. Also when the reader of a pipe has exited."""
EXIT_INTERRUPTED = 130
"""The exit code that shells expect after Ctrl-C: 128 + SIGINT."""

HELP_FORM = argparse.RawDescriptionHelpFormatter
"""Keeps the line breaks of examples."""


def complain(command: str, line: str) -> None:
    """Write an error to stderr in one line; `command` is empty when the command line names none."""
    warn(f"token-sidecar{' ' if command else ''}{command}: {line}")
