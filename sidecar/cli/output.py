"""What the commands share: their output to stdout and stderr, exit codes, and the format of help texts.

Control, format and other unprintable characters are replaced by spaces in every line. A command whose output cannot be
written fails, with an exit code of its own.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TextIO

from sidecar.core.errors import SidecarError, printable

if TYPE_CHECKING:
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


def add_command(
    commands: Commands,
    name: str,
    run: Callable[[argparse.Namespace, Mapping[str, str]], int],
    summary: str,
    description: str,
    epilog: str = "",
    *,
    add_help: bool = True,
) -> argparse.ArgumentParser:
    """Add a command, which calls `run`. `summary` is its line in the list of commands."""
    parser = commands.add_parser(
        name, help=summary, description=description, epilog=epilog, formatter_class=HELP_FORM, add_help=add_help
    )
    parser.set_defaults(run=run)
    return parser


class OutputError(SidecarError):
    """Stdout cannot be written; the text names the cause."""


def say(*lines: str) -> None:
    """Write lines to stdout and flush it. Raises `OutputError`."""
    if sys.stdout is None:
        raise OutputError("cannot write to stdout: it is closed")
    try:
        _write(sys.stdout, lines)
    except (OSError, ValueError) as error:
        _discard_buffered(sys.stdout)
        raise OutputError(f"cannot write to stdout: {getattr(error, 'strerror', None) or 'it is closed'}") from error


def warn(*lines: str) -> None:
    """Write lines to stderr, if it is open: a message that cannot be written does not change the exit code."""
    if sys.stderr is not None:
        with contextlib.suppress(OSError, ValueError):
            _write(sys.stderr, lines)


def _write(stream: TextIO, lines: tuple[str, ...]) -> None:
    text = "".join(f"{printable(line)}\n" for line in lines)
    encoding = stream.encoding or "ascii"
    # A terminal's encoding may lack some characters of Unicode.
    stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
    stream.flush()


def _discard_buffered(stream: TextIO) -> None:
    # Output that could not be written stays in the buffer. Python would try to write it again at exit, report the
    # error, and change the exit code.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)


def complain(command: str, line: str) -> None:
    """Write an error to stderr in one line; `command` is empty when the command line names none."""
    warn(f"token-sidecar{' ' if command else ''}{command}: {line}")
