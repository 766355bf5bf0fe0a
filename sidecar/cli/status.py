"""`token-sidecar status`: prints the state of a running sidecar."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sidecar.cli.output import EXIT_FAILED, EXIT_OK, EXIT_UNREACHABLE, add_command, complain, say

if TYPE_CHECKING:
    from sidecar.cli.http_client import Response
    from sidecar.cli.output import Commands

_TIMEOUT_S = 5
_MAX_LINE_CHARACTERS = 400

_DESCRIPTION = """\
Print the state of a running sidecar for each profile: token, expiry, cool-down, budget, lease holder, gateway, last
error.
"""

_EPILOG = """\
examples:
  token-sidecar status
  token-sidecar status --url 10.0.0.7:9181 --json | jq .profiles.default.expiresAt

The default address is SIDECAR_ADMIN_LISTEN (from the environment or from the file SIDECAR_CONFIG).
No caller token and no proxy is used. The time limit is 5 s.

exit codes: 0 every profile has a token, 1 a profile has none, 2 invalid configuration or command line,
3 no sidecar answers, 74 stdout cannot be written
"""


def add_to(commands: Commands) -> None:
    parser = add_command(commands, "status", _run, "print the state of a running sidecar", _DESCRIPTION, _EPILOG)
    parser.add_argument(
        "--url", metavar="ADMIN", help="http://host:port, host:port or unix:/path of the admin listener"
    )
    parser.add_argument("--json", action="store_true", help="print the response of /status.json")


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.cli.http_client import UnreachableError, get
    from sidecar.config.client_settings import client_settings

    url = args.url or str(client_settings(environ).admin)
    try:
        response = get(url, "/status.json", {"Accept": "application/json"}, timeout_s=_TIMEOUT_S)
    except UnreachableError as error:
        complain("status", str(error))
        return EXIT_UNREACHABLE
    state = _state(response)
    if state is None:
        complain(
            "status", f"the {response.status} response from {url} is not from a sidecar: is this the admin listener?"
        )
        return EXIT_UNREACHABLE
    say(*([json.dumps(state.document)] if args.json else state.lines))
    return EXIT_OK if state.has_tokens else EXIT_FAILED


@dataclass(frozen=True, slots=True)
class _State:
    """The state of a sidecar: its document, and the same as lines for people."""

    document: Mapping[str, Any]
    lines: Sequence[str]
    has_tokens: bool
    """Whether every profile has a token."""


def _state(response: Response) -> _State | None:
    """Return the state in a response; None when the response is not from a sidecar."""
    document: dict[str, Any] = response.document()
    profiles = document.get("profiles")
    if response.status != 200 or not isinstance(profiles, dict) or not profiles:
        return None
    try:
        now = datetime.fromisoformat(document["at"])
        lines = [line[:_MAX_LINE_CHARACTERS] for line in _lines(document, profiles, now)]
        # An idle profile is ready but may have no token. `expired` also means that there is none.
        has_tokens = all(str(profile["condition"]) != "expired" for profile in profiles.values())
    except (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError):
        # The fields are not those of a sidecar.
        return None
    return _State(document, lines, has_tokens)


def _lines(document: Mapping[str, Any], profiles: Mapping[str, Any], now: datetime) -> Iterator[str]:
    state = "draining" if document.get("draining") else "ready" if document.get("ready") else "not ready"
    yield f"sidecar {document.get('version')}: {state}, store {'up' if document.get('storeUp') else 'DOWN'}"
    for name, profile in profiles.items():
        yield f"{name}: {profile['reason'] or profile['condition']}"
        for label, text in _rows(profile, now):
            yield f"  {label:14}{text}"


def _rows(profile: Mapping[str, Any], now: datetime) -> Iterator[tuple[str, str]]:
    budget = profile["budget"]
    yield (
        "partner",
        f"{profile['partner']} {profile['baseUrl']}" + (f" as {profile['role']}" if profile["role"] else ""),
    )
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
    if profile.get("signatures"):
        yield "signatures", f"{profile['signatures']} since the start"
    if profile.get("gateway"):
        yield from _gateway(profile["gateway"])
    if profile.get("stalledFiles"):
        yield "hanging files", ", ".join(profile["stalledFiles"])
    yield "last error", _error(profile["lastError"], now)


def _gateway(gateway: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    yield "gateway", f"{', '.join(gateway['listen'])}, {gateway['callsUnderWay']} calls under way"
    requests, refused = gateway["requests"], gateway["signedBadRequests"]
    refusals = f"{requests['notAllowed']} not allowed, {requests['otherErrors']} other errors"
    yield "requests", f"{requests['answered']} answered, {refusals}"
    yield "not answered", f"{requests['unreachable']} partner unreachable, {requests['outcomeUnknown']} outcome unknown"
    ages = f"{refused['upTo300Seconds']} with a token up to 300 s old, {refused['over300Seconds']} with an older one"
    yield "signed, 400", ages


def _when(moment: str | None, now: datetime) -> str:
    """Return an instant and its distance from now in seconds, for people."""
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
