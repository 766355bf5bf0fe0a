"""`token-sidecar survey`: finds out by measurement what a partner does not document."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.cli.output import EXIT_FAILED, EXIT_OK, add_command, say, warn
from sidecar.core.errors import ConfigurationError

if TYPE_CHECKING:
    from sidecar.app.survey import SurveyOptions
    from sidecar.cli.output import Commands
    from sidecar.config.schema import Settings
    from sidecar.config.settings import ProfileSettings

_DESCRIPTION = """\
Find out on a staging account what the partner does not document, and print a table and the settings that follow. Each
step says what it does and waits for an answer. Token calls are made within the call budget of the store, and none
during a cool-down; after a 429 the survey ends. No payment is created: signatures are tried with an empty object as the
body, which the partner has to refuse, and only after a right and a wrong signature were refused in different ways.

Use an account that nothing else uses: the partner may end the token of the apps, and the survey uses up their budget.
The settings are those of serve; for the partner's production URL --production is needed as well.
"""

_EPILOG = """\
examples:
  token-sidecar survey                                         ask before each step
  token-sidecar survey --yes --probe 'GET /v2/accounts'        ask nothing, and try tokens with this request
  token-sidecar survey --yes --watch --state /tmp/survey       and measure how long a token lives; again: go on

The file of --state holds a token while it is watched. It has mode 0600, and is removed at the end.

exit codes: 0 something was found, 1 nothing was, 2 invalid configuration, 74 stdout cannot be written
"""


def add_to(commands: Commands) -> None:
    summary = "measure what a partner does not document"
    parser = add_command(commands, "survey", _run, summary, _DESCRIPTION, _EPILOG)
    parser.add_argument("--profile", default="", help="the profile, where there are several")
    parser.add_argument("--yes", action="store_true", help="do not ask before each step")
    parser.add_argument("--production", action="store_true", help="allow the partner's production URL")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    parser.add_argument("--probe", metavar="'GET PATH'", help="request that reads something with a token")
    parser.add_argument(
        "--write",
        nargs=2,
        metavar=("'POST PATH'", "CONTENT-TYPE"),
        help="write that the partner refuses for an empty object, to try signatures with",
    )
    parser.add_argument("--watch", action="store_true", help="also measure how long a token lives (needs --state)")
    parser.add_argument("--state", type=Path, metavar="FILE", help="file with the watched token, to go on later")
    parser.add_argument(
        "--every", type=float, default=30, metavar="S", help="seconds between two tries of --watch (default: 30)"
    )


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.app.running import load_settings, run

    settings = load_settings(environ)
    chosen = _profile(settings, args.profile)
    if chosen.profile.base_url == chosen.table.base_url and not args.production:
        raise ConfigurationError(
            [f"{chosen.profile.base_url} is the partner's production URL: set SIDECAR_BASE_URL, or give --production"]
        )
    options = _options(args)
    # Imported after the settings: the import of aiohttp loads the trusted certificates, whose file system may hang.
    from sidecar.app.survey import survey
    from sidecar.survey.findings import document, snippet, table

    done = run(lambda: survey(settings, chosen, options, (lambda what: _asked(what, yes=args.yes)), warn))
    if args.json:
        say(json.dumps({"findings": document(done.findings), "stopped": done.stopped}, indent=2))
    else:
        say(*table(done.findings).splitlines())
        if settings_found := snippet(done.findings):
            say("", "settings for the TOML file:", "", *settings_found.splitlines())
    if done.stopped:
        warn(f"token-sidecar survey: {done.stopped}")
    return EXIT_OK if any(one.sure != "unknown" for one in done.findings) else EXIT_FAILED


def _asked(what: str, *, yes: bool) -> bool:
    """Say what a step does, and return whether it may. Without a terminal nobody can answer."""
    warn(what)
    if yes:
        return True
    sys.stderr.write("Do it? [y/N] ")
    sys.stderr.flush()
    return sys.stdin is not None and sys.stdin.readline().strip().lower() in ("y", "yes")


def _profile(settings: Settings, name: str) -> ProfileSettings:
    names = [one.profile.name for one in settings.profiles]
    if not name and len(names) == 1:
        return settings.profiles[0]
    found = next((one for one in settings.profiles if one.profile.name == name), None)
    if found is None:
        raise ConfigurationError([f"--profile must be one of {', '.join(names)}"])
    return found


def _options(args: argparse.Namespace) -> SurveyOptions:
    from sidecar.app.survey import SurveyOptions
    from sidecar.core.partner_table import SignProbe

    if args.watch and args.state is None:
        raise ConfigurationError(["--watch needs --state FILE, for the token and to go on later"])
    probe_path = None if args.probe is None else _path_of("--probe", "GET", args.probe)
    write = None
    if args.write is not None:
        write = SignProbe(path=_path_of("--write", "POST", args.write[0]), content_type=args.write[1])
    return SurveyOptions(
        probe_path=probe_path,
        sign_probe=write,
        watch_state=args.state if args.watch else None,
        watch_every_s=args.every,
    )


def _path_of(option: str, method: str, text: str) -> str:
    given, _, path = text.partition(" ")
    if given != method or not path.startswith("/"):
        raise ConfigurationError([f"{option} must be '{method} /path'"])
    return path
