"""`token-sidecar serve`: run the service."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sidecar.cli.command import HELP_FORM

if TYPE_CHECKING:
    from sidecar.cli.command import Commands

_DESCRIPTION = """\
Run the service until SIGTERM or SIGINT: /readyz turns 503 at once, vending goes on for SIDECAR_DRAIN_S, then it
ends with exit code 0; a second SIGTERM or SIGINT ends the drain at once. Before it serves, the first one ends it at
once, with 0 as well. SIGHUP reads the credentials, caller tokens and seal keys again at once.
A configuration error ends it with exit code 2 and every problem on stderr, one a line.

Under systemd (NOTIFY_SOCKET is set) it says when it is ready, when it stops and how it is, and pings the watchdog
(WATCHDOG_USEC). It is ready once there is a token, or SIDECAR_REQUEST_TIMEOUT_S has passed without one.
"""

_EPILOG = """\
example:
  SIDECAR_CREDENTIALS_DIR=/etc/sidecar/credentials SIDECAR_STORE=rediss://redis.internal:6379/0 \\
  SIDECAR_SEAL_KEY_FILE=/etc/sidecar/seal-keys token-sidecar serve

settings (environment variables; or a TOML file that SIDECAR_CONFIG names, with the same names in lower case without
the prefix, and [profiles.NAME] tables for several partner accounts; the environment wins; times are in seconds;
* may differ by profile):

"""


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "serve", help="run the service", description=_DESCRIPTION, formatter_class=HELP_FORM, add_help=False
    )
    parser.add_argument("-h", "--help", action=_HelpWithSettings, nargs=0, help="show this help and exit")
    parser.set_defaults(run=_run)


def _run(_args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.app.running import load_settings, run

    settings = load_settings(environ)
    # Not before: aiohttp loads the trusted certificates while it is imported, and their file system may hang.
    from sidecar.app.run import serve

    return run(lambda: serve(settings, environ))


class _HelpWithSettings(argparse.Action):
    """Reads the table of settings only when somebody asks for it."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        _namespace: argparse.Namespace,
        _values: str | Sequence[object] | None,
        _option: str | None = None,
    ) -> None:
        parser.epilog = _EPILOG + _settings_text()
        parser.print_help()
        parser.exit()


def _settings_text() -> str:
    from sidecar.config.schema import SETTINGS

    return "\n".join(
        f"  {setting.name} = {setting.default_shown}{' *' if setting.per_profile else ''}\n"
        + textwrap.fill(setting.meaning, 110, initial_indent="      ", subsequent_indent="      ")
        for setting in SETTINGS
    )
