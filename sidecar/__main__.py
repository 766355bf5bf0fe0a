"""The command `token-sidecar`, also `python -m sidecar`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from sidecar.app import signals

_SERVING = ("serve", "sandbox", "demo")
"""The commands that run until a signal ends them, with exit code 0. A signal leaves others' work unfinished."""


def main() -> NoReturn:
    """Run one command, and end the process with its exit code."""
    _open_standard_descriptors()
    if sys.argv[1:2] and sys.argv[1] in _SERVING:
        signals.install()
    # Imported late: these imports take most of the start, and a signal may come meanwhile.
    from sidecar.app import process
    from sidecar.config.environment import take_environment

    # Before anything is read: every command but `--help` holds a secret later, at least a token.
    process.forbid_dumps()
    process.install_error_hooks()
    try:
        code = run(sys.argv[1:], take_environment(os.environ))
    except SystemExit as end:
        code = int(end.code or 0)
    # Both may have been closed from the start, and the reader of a pipe may have exited.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    # Every command has closed what it opened. Python's own exit would destroy each module and object. That costs a
    # seventh of the time of `status`, which probes run, and frees nothing that the kernel would not free.
    os._exit(code)


def _open_standard_descriptors() -> None:
    """Open the null device for a closed stdin, stdout or stderr: otherwise the next socket would get its number.

    Libraries that write to a descriptor's number would write to that socket, and libuv aborts when it closes a socket
    below 3.
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
