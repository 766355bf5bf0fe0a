"""The command `token-sidecar`, also `python -m sidecar`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from sidecar.app import signals

_SERVING = ("serve", "sandbox", "demo")
"""The commands that run until a signal ends them, with 0. That of any other is not done when one ends it."""


def main() -> NoReturn:
    """Run one command, and end the process with its exit code."""
    _open_standard_descriptors()
    if sys.argv[1:2] and sys.argv[1] in _SERVING:
        signals.install()
    # Imported late: all of it takes most of the start, in which a signal may come.
    from sidecar.cli import bare_hooks
    from sidecar.cli.undumpable import forbid_dumps
    from sidecar.config.environment import take

    # Before anything is read: every command but `--help` comes to hold a secret, a token at least.
    forbid_dumps()
    bare_hooks.install()
    try:
        code = run(sys.argv[1:], take(os.environ))
    except SystemExit as end:
        code = int(end.code or 0)
    # Both may have been closed from the start, and who read may have gone.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    # Every command has closed what it opened. Python's own ending would take each module and object apart, which costs
    # a seventh of `status`, asked by probes, and leaves nothing that the kernel would not free.
    os._exit(code)


def _open_standard_descriptors() -> None:
    """Put the null device where stdin, stdout or stderr was closed: the next socket would take its place otherwise.

    Libraries that write to a number would write there, and libuv aborts when it closes a socket below 3.
    """
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        pass
    os.close(descriptor)


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command that `argv` names and return its exit code. Raises `SystemExit` for `--help` and misuse (2)."""
    from sidecar.cli import main

    return main.run(argv, environ)


if __name__ == "__main__":
    main()
