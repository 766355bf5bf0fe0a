"""`token-sidecar status`: what a running sidecar knows."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sidecar.cli.command import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, HELP_FORM, complain
from sidecar.cli.output import say

if TYPE_CHECKING:
    from sidecar.cli.command import Commands

_TIMEOUT_S = 5

_DESCRIPTION = """\
Ask a running sidecar for its state: token and expiry, cool-down, budget, lease holder, last error, for each profile.
"""

_EPILOG = """\
examples:
  token-sidecar status
  token-sidecar status --url 10.0.0.7:9181 --json | jq .profiles.default.expiresAt

The sidecar is looked for where SIDECAR_ADMIN_LISTEN (or the file SIDECAR_CONFIG names) puts it.

exit codes: 0 every profile has a token, 1 one has not, 2 the configuration or the command line is wrong,
3 no sidecar answers there, 74 stdout cannot be written
"""


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "status",
        help="ask a running sidecar for its state",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HELP_FORM,
    )
    parser.add_argument(
        "--url", metavar="ADMIN", help="http://host:port, host:port or unix:/path of the admin listener"
    )
    parser.add_argument("--json", action="store_true", help="print the answer of /status.json")
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.cli.ask import UnreachableError, ask
    from sidecar.config.reach import reach

    url = args.url or str(reach(environ).admin)
    try:
        answer = ask(url, "/status.json", {"Accept": "application/json"}, timeout_s=_TIMEOUT_S)
    except UnreachableError as error:
        complain("status", str(error))
        return EXIT_UNREACHABLE
    document: dict[str, Any] = answer.document()
    profiles = document.get("profiles")
    if answer.status != 200 or not isinstance(profiles, dict):
        complain("status", f"the answer {answer.status} of {url} is not a sidecar's: is this the admin listener?")
        return EXIT_UNREACHABLE
    if args.json:
        say(answer.body.decode().rstrip("\n"))
    else:
        say(*_lines(document, profiles, datetime.fromisoformat(document["at"])))
    # A profile that rests is ready and may have no token all the same: `expired` also stands for "none".
    vendable = all(profile["condition"] != "expired" for profile in profiles.values())
    return EXIT_OK if vendable else EXIT_FAILED


def _lines(document: Mapping[str, Any], profiles: Mapping[str, Any], now: datetime) -> Iterator[str]:
    state = "draining" if document.get("draining") else "ready" if document.get("ready") else "not ready"
    yield f"sidecar {document.get('version')}: {state}, store {'up' if document.get('storeUp') else 'DOWN'}"
    for name, profile in profiles.items():
        yield f"{name}: {profile['reason'] or profile['condition']}"
        for label, text in _rows(profile, now):
            yield f"  {label:14}{text}"


def _rows(profile: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    budget = profile["budget"]
    yield "partner", f"{profile['partner']} {profile['baseUrl']} as {profile['role']}"
    yield "token", profile["tokenId"] or "none"
    if profile["tokenId"]:
        yield "expires", f"{_when(profile['expiresAt'], now)}, lifetime {profile['lifetime']}"
    if profile["nextRefreshAt"]:
        yield "next refresh", _when(profile["nextRefreshAt"], now)
    yield "cool-down", f"until {_when(profile['cooldownUntil'], now)}" if profile["cooldownUntil"] else "none"
    if profile["pause"]:
        yield "pause", f"{profile['pause']} until {_when(profile['pauseUntil'], now)}"
    if profile["retryAt"]:
        yield "next try", _when(profile["retryAt"], now)
    yield "budget", f"{budget['remaining']} of {budget['calls']} calls left in {budget['windowSeconds']:g} s"
    yield "lease holder", profile["leaseHolder"] or "none"
    if not profile["credentialsValid"]:
        yield "credentials", "REJECTED"
    if profile.get("stalledFiles"):
        yield "hanging files", ", ".join(profile["stalledFiles"])
    yield "last error", _error(profile["lastError"], now)


def _when(moment: str | None, now: datetime) -> str:
    """An instant and how far it is, for people."""
    if moment is None:
        return "unknown"
    left_s = round((datetime.fromisoformat(moment) - now).total_seconds())
    far = f"in {left_s} s" if left_s > 0 else f"{-left_s} s ago" if left_s < 0 else "now"
    return f"{moment} ({far})"


def _error(error: Mapping[str, Any] | None, now: datetime) -> str:
    if error is None:
        return "none"
    partner = error["partner"] or {}
    said = ", ".join(f"{key} {value}" for key, value in partner.items() if value)
    return f"{error['kind']} {_when(error['at'], now)}{': ' if said else ''}{said}"
