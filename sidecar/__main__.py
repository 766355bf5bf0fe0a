"""The command `token-sidecar`, also `python -m sidecar`."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from typing import NoReturn

from sidecar.app import signals

_SERVING = ("serve", "sandbox", "demo")
"""The commands that run until a signal ends them, with exit code 0. Any other command is incomplete then."""


def main() -> NoReturn:
    """Run one command, and end the process with its exit code."""
    _open_standard_descriptors()
    if sys.argv[1:2] and sys.argv[1] in _SERVING:
        signals.install()
    # Imported late: these imports take most of the start-up time, and a signal may arrive in it.
    from sidecar.cli import bare_hooks
    from sidecar.cli.undumpable import forbid_dumps
    from sidecar.config.environment import take

    # Before anything is read: every command except `--help` will hold a secret, at least a token.
    forbid_dumps()
    bare_hooks.install()
    try:
        code = run(sys.argv[1:], take(os.environ))
    except SystemExit as end:
        code = int(end.code or 0)
    # Both may have been closed from the start, and their reader may have ended.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    # Every command has closed what it opened. Python's own shutdown would free each module and object. That takes a
    # seventh of the time of `status`, which probes call, and the kernel frees the memory anyway.
    os._exit(code)


def _open_standard_descriptors() -> None:
    """Open the null device where stdin, stdout or stderr is closed: otherwise the next socket would get its number.

    Libraries that write to a fixed number would write to that socket, and libuv aborts when it closes one below 3.
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
