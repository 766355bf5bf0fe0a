"""The command `token-sidecar`, also `python -m sidecar`."""

from __future__ import annotations

import contextlib
import os
import sys
from typing import NoReturn

from sidecar.cli import bare_hooks
from sidecar.cli.commands import run
from sidecar.cli.undumpable import forbid_dumps
from sidecar.config.environment import take


def main() -> NoReturn:
    """Run one command, and end the process with its exit code."""
    # First of all: every command but `--help` comes to hold a secret, a token at least.
    forbid_dumps()
    bare_hooks.install()
    code = run(sys.argv[1:], take(os.environ))
    # Both may have been closed from the start, and who read may have gone.
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.flush()
    # Every command has closed what it opened. Python's own ending would take each module and object apart, which costs
    # a seventh of `status`, asked by probes, and leaves nothing that the kernel would not free.
    os._exit(code)


if __name__ == "__main__":
    main()
