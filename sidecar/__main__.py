"""The command `token-sidecar`, also `python -m sidecar`."""

from __future__ import annotations

import os
import sys

from sidecar.cli import bare_hooks
from sidecar.cli.commands import run
from sidecar.cli.undumpable import forbid_dumps
from sidecar.config.environment import take


def main() -> int:
    """Run one command; the answer is its exit code."""
    # First of all: every command but `--help` comes to hold a secret, a token at least.
    forbid_dumps()
    bare_hooks.install()
    return run(sys.argv[1:], take(os.environ))


if __name__ == "__main__":
    sys.exit(main())
