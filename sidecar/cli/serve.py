"""`token-sidecar serve`: runs the service."""

from __future__ import annotations

import argparse
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from sidecar.cli.output import add_command

if TYPE_CHECKING:
    from sidecar.cli.output import Commands

_DESCRIPTION = """\
Run the service until SIGTERM or SIGINT. Then /readyz returns 503 at once, tokens are served for another
SIDECAR_DRAIN_S, and the exit code is 0. A second SIGTERM or SIGINT skips the rest of the drain. During the start one
signal is enough, also with exit code 0. SIGHUP re-reads credentials, caller tokens and seal keys at once.
On a configuration error the exit code is 2, and stderr lists every problem, one per line.

Under systemd (NOTIFY_SOCKET is set) the service reports that it is ready, its status and that it stops, and pings the
watchdog (WATCHDOG_USEC). It is ready once there is a token, or after SIDECAR_REQUEST_TIMEOUT_S without one.
"""

_EPILOG = """\
example:
  SIDECAR_CREDENTIALS_DIR=/etc/sidecar/credentials SIDECAR_STORE=rediss://redis.internal:6379/0 \\
  SIDECAR_SEAL_KEY_FILE=/etc/sidecar/seal-keys token-sidecar serve

Settings are environment variables, or keys of the TOML file SIDECAR_CONFIG: lower case, without the prefix, with
[profiles.NAME] tables for several partner accounts. The environment wins. Times are in seconds. Settings with * may
differ by profile.

"""


def add_to(commands: Commands) -> None:
    parser = add_command(commands, "serve", _run, "run the service", _DESCRIPTION, add_help=False)
    parser.add_argument("-h", "--help", action=_HelpWithSettings, nargs=0, help="show this help and exit")


def _run(_args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.app.running import load_settings, run

    settings = load_settings(environ)
    # Imported after the settings: the import of aiohttp loads the trusted certificates, whose file system may hang.
    from sidecar.app.run import serve

    return run(lambda: serve(settings, environ))


class _HelpWithSettings(argparse.Action):
    """Prints the help, and reads the table of settings only then."""

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
