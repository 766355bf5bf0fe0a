"""`token-sidecar check`: would a sidecar with these settings work?"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidecar.cli.command import EXIT_FAILED, EXIT_OK, HELP_FORM
from sidecar.cli.output import say

if TYPE_CHECKING:
    from sidecar.app.check import CheckLine
    from sidecar.cli.command import Commands

_DESCRIPTION = """\
Look at configuration, credential files, keys and store, and say one line about each. The store is tried with every
operation of the service, on a key of its own that is removed again. Each line about it says what is wrong, at which
address, and what to do. A note is something that could not be seen, or that does no harm now.

Whether the listeners' addresses are free is not looked at: a running sidecar may hold them. The partner is not called,
unless --live asks for a token: by the same path as the service, within the fleet's budget and cool-down. A token that
the store holds already is taken, and the line says so: then the partner was not asked about the credentials. A new
token that the store does not hold in the end is a failure.
"""

_EPILOG = """\
examples:
  token-sidecar check                     before a deployment
  token-sidecar check --live              and get a token, as the service would

exit codes: 0 all is well, 1 something failed, 2 the configuration is wrong, 74 stdout cannot be written
"""


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "check",
        help="validate settings, credentials and store",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HELP_FORM,
    )
    parser.add_argument("--live", action="store_true", help="get a token too, from the store or from the partner")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.app.running import load_settings, run

    settings = load_settings(environ)
    # Not before: aiohttp loads the trusted certificates while it is imported, and their file system may hang.
    from sidecar.app.check import check

    say(*(f"warning  {warning}" for warning in settings.warnings))
    lines = run(lambda: check(settings, live=args.live))
    say(*map(_shown, lines))
    return EXIT_OK if all(line.ok for line in lines) else EXIT_FAILED


def _shown(line: CheckLine) -> str:
    verdict = "note" if line.is_note else "ok" if line.ok else "FAILED"
    return f"{verdict:8} {line.what}{': ' if line.detail else ''}{line.detail}"
