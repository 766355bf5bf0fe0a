"""`token-sidecar token`: prints the current token of a running sidecar."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sidecar.cli.output import EXIT_FAILED, EXIT_OK, add_command, complain, say

if TYPE_CHECKING:
    from sidecar.cli.http_client import Response
    from sidecar.cli.output import Commands

_TIMEOUT_S = 60
"""Longer than a request waits in a sidecar by default (5 s), with room for a larger SIDECAR_REQUEST_TIMEOUT_S."""
_MAX_TEXT_CHARACTERS = 200
_TOKEN = re.compile("[!-~]{1,16384}")
"""The tokens that a sidecar accepts from a partner, and that a header can hold."""
_CODE = re.compile("[a-z][a-z-]{0,63}")

_DESCRIPTION = """\
Print the current token of a running sidecar. Stdout contains nothing else. If the token is suspect, a warning goes to
stderr.
"""

_EPILOG = """\
examples:
  TOKEN=$(token-sidecar token)
  token-sidecar token --format json | jq .expiresIn
  curl -H "$(token-sidecar token --format header)" https://partner.example.com/api/...

The default address is SIDECAR_LISTEN (from the environment or from the file SIDECAR_CONFIG). The caller token is the
first line of SIDECAR_CALLER_TOKEN_FILE. It is sent to unix sockets and loopback addresses, and to names that resolve to
loopback. It is sent to other addresses only with --allow-remote, because the connection is not encrypted. No proxy is
used. The time limit is 60 s.

exit codes: 0 success, 1 no token, 2 invalid configuration or command line, 74 stdout cannot be written
"""


def add_to(commands: Commands) -> None:
    parser = add_command(commands, "token", _run, "print the current token of a running sidecar", _DESCRIPTION, _EPILOG)
    parser.add_argument("--url", help="http://host:port, host:port or unix:/path of the vending listener")
    parser.add_argument("--profile", metavar="P", help="the partner account (default: default)")
    parser.add_argument(
        "--format",
        choices=("raw", "json", "header"),
        default="raw",
        help="the token only, the whole JSON response, or the header line for the partner (default: %(default)s)",
    )
    parser.add_argument(
        "--allow-remote", action="store_true", help="send the caller token to addresses beyond loopback too"
    )


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.cli.http_client import get
    from sidecar.config.client_settings import client_settings

    known = client_settings(environ)
    path = "/v1/authorize" if args.format == "header" else "/v1/token"
    if args.profile:
        path += "/" + quote(args.profile, safe="")
    response = get(
        args.url or str(known.vending),
        path,
        {"Sidecar-Request": "true", "Accept": "text/plain" if args.format == "raw" else "application/json"},
        timeout_s=_TIMEOUT_S,
        caller_token=_caller_token(known.caller_token_file),
        allow_remote=args.allow_remote,
    )
    return _show(response, args.format)


def _caller_token(path: Path | None) -> str:
    if path is None:
        return ""
    from sidecar.credentials.caller_token import first_caller_tokens

    return first_caller_tokens(path)[0].reveal()


def _show(response: Response, form: str) -> int:
    line = {"raw": _raw, "json": _json, "header": _header}[form](response) if response.status == 200 else None
    if line is None:
        complain("token", _problem(response))
        return EXIT_FAILED
    say(line)
    if response.headers.get("Token-Suspect") == "true":
        complain("token", "warning: this token is suspect, no other is available now")
    return EXIT_OK


def _raw(response: Response) -> str | None:
    """Return only the token; None when the response holds none."""
    token = response.body.decode("latin-1").removesuffix("\n")
    return token if _TOKEN.fullmatch(token) else None


def _json(response: Response) -> str | None:
    """Return the document in ASCII, whatever its encoding was; None when it holds no token."""
    document = response.document()
    token = document.get("accessToken")
    return json.dumps(document) if isinstance(token, str) and _TOKEN.fullmatch(token) else None


def _header(response: Response) -> str | None:
    """Return the header line with the token; None when the response has none."""
    # The header's name depends on the partner. The sidecar names it where the value does not begin with "Bearer ".
    named = next((value for name, value in response.headers.items() if name.lower() == "token-header"), None)
    for name, value in response.headers.items():
        scheme, _, token = value.rpartition(" ")
        expected = scheme == "Bearer" if named is None else name.lower() == named.lower() and " " not in scheme
        if expected and _TOKEN.fullmatch(token):
            return f"{name}: {value}"
    return None


def _problem(response: Response) -> str:
    """Return a problem document (RFC 9457) as one line: its detail, its code, and when to try again."""
    problem = response.document()
    code, wait_s, partner = problem.get("code"), problem.get("retryAfter"), problem.get("partner")
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        return f"the {response.status} response is not from a sidecar: is this the vending listener?"
    line = f"{_text(problem.get('detail') or problem.get('title'))} ({code})"
    if isinstance(partner, dict):
        said = ((key, partner.get(key)) for key in ("status", "errorCode", "errorMessage", "sessionId"))
        line += "; partner: " + ", ".join(f"{key} {_text(value)}" for key, value in said if value)
    if isinstance(wait_s, int):
        line += f"; try again in {wait_s} s"
    return line


def _text(value: object) -> str:
    return str(value)[:_MAX_TEXT_CHARACTERS] if isinstance(value, str | int) else "?"
