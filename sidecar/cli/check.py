"""`token-sidecar check`: tests whether a sidecar with these settings would work."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidecar.cli.output import EXIT_FAILED, EXIT_OK, add_command, say

if TYPE_CHECKING:
    from sidecar.app.check import CheckLine
    from sidecar.cli.output import Commands

_DESCRIPTION = """\
Check configuration, credential files, keys, gateways and store, and print one line for each. The store is tested with
every operation of the service, on a separate key that is removed afterwards. A line about the store says what is wrong,
at which address, and what to do. A note is something that could not be checked, or that does no harm now. A gateway's
line lists what it forwards; a note says what it refuses while there is no signing key. The requests for tokens are
shown as they would be sent, with *** in place of each secret.

Listener addresses are not checked: a running sidecar may use them. The partner is called only with --live, in the same
way as the service does: within the budget and cool-down of the fleet. If the store has a token, --live uses that one
and does not call the partner, so the credentials are not tested; the line says so. If a new token cannot be stored,
the check fails.
"""

_EPILOG = """\
examples:
  token-sidecar check                     before a deployment
  token-sidecar check --live              and get a token in the same way as the service

exit codes: 0 success, 1 a check failed, 2 invalid configuration, 74 stdout cannot be written
"""


def add_to(commands: Commands) -> None:
    parser = add_command(commands, "check", _run, "validate settings, credentials and store", _DESCRIPTION, _EPILOG)
    parser.add_argument("--live", action="store_true", help="also get a token, from the store or from the partner")


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.app.running import load_settings, run

    settings = load_settings(environ)
    # Imported after the settings: the import of aiohttp loads the trusted certificates, whose file system may hang.
    from sidecar.app.check import check

    say(*(f"warning  {warning}" for warning in settings.warnings))
    lines = run(lambda: check(settings, live=args.live))
    say(*(text for line in lines for text in _shown(line)))
    return EXIT_OK if all(line.ok for line in lines) else EXIT_FAILED


def _shown(line: CheckLine) -> list[str]:
    """Return the lines to print. Further ones begin where the first one has its text."""
    verdict = "note" if line.is_note else "ok" if line.ok else "FAILED"
    first, *others = line.detail.split("\n")
    return [f"{verdict:8} {line.what}{': ' if first else ''}{first}", *(f"{'':8} {other}" for other in others)]
