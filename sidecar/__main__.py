"""The command `token-sidecar`, also `python -m sidecar`."""

from __future__ import annotations

import os
import sys

from sidecar.cli.commands import run


def main() -> int:
    """Run one command; the answer is its exit code."""
    return run(sys.argv[1:], os.environ)


if __name__ == "__main__":
    sys.exit(main())
