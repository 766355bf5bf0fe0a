"""`token-sidecar token`: print the current token of a running sidecar."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from sidecar.cli.command import EXIT_FAILED, EXIT_OK, HELP_FORM, complain
from sidecar.cli.output import say

if TYPE_CHECKING:
    from sidecar.cli.ask import Answer
    from sidecar.cli.command import Commands

_TIMEOUT_S = 60
"""Above what a sidecar lets callers wait by default (5 s), with room for a larger SIDECAR_REQUEST_TIMEOUT_S."""

_DESCRIPTION = """\
Print the current token of a running sidecar. Nothing else goes to stdout; a token that the sidecar marks as suspect
is printed with a warning on stderr.
"""

_EPILOG = """\
examples:
  TOKEN=$(token-sidecar token)
  token-sidecar token --format json | jq .expiresIn
  curl -H "$(token-sidecar token --format header)" https://partner.example.com/api/...

The sidecar is looked for where SIDECAR_LISTEN (or the file SIDECAR_CONFIG names) puts it; the caller token is the
first line of SIDECAR_CALLER_TOKEN_FILE.

exit codes: 0 printed, 1 no token, 2 the configuration or the command line is wrong, 74 stdout cannot be written
"""


def add_to(commands: Commands) -> None:
    parser = commands.add_parser(
        "token",
        help="print the current token of a running sidecar",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=HELP_FORM,
    )
    parser.add_argument("--url", help="http://host:port, host:port or unix:/path of the vending listener")
    parser.add_argument("--profile", metavar="P", help="the partner account (default: default)")
    parser.add_argument(
        "--format",
        choices=("raw", "json", "header"),
        default="raw",
        help="the token alone, the whole answer, or the header line the partner expects (default: %(default)s)",
    )
    parser.set_defaults(run=_run)


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.cli.ask import ask
    from sidecar.config.reach import reach

    known = reach(environ)
    path = "/v1/authorize" if args.format == "header" else "/v1/token"
    if args.profile:
        path += "/" + quote(args.profile, safe="")
    headers = _headers(args.format, known.caller_token_file)
    return _show(ask(args.url or str(known.vending), path, headers, timeout_s=_TIMEOUT_S), args.format)


def _headers(form: str, caller_token_file: Path | None) -> dict[str, str]:
    headers = {"Sidecar-Request": "true", "Accept": "text/plain" if form == "raw" else "application/json"}
    if caller_token_file is not None:
        from sidecar.web.caller_token_file import read_caller_tokens

        headers["Authorization"] = f"Bearer {read_caller_tokens(caller_token_file)[0].reveal()}"
    return headers


def _show(answer: Answer, form: str) -> int:
    # Its name is the partner's; the value's form is the same for all.
    header = next((f"{name}: {value}" for name, value in answer.headers.items() if value.startswith("Bearer ")), None)
    if answer.status == 200 and form != "header":
        say(answer.body.decode().rstrip("\n"))
    elif answer.status == 204 and form == "header" and header:
        say(header)
    else:
        complain("token", _refusal(answer))
        return EXIT_FAILED
    if answer.headers.get("Token-Suspect") == "true":
        complain("token", "warning: this token is suspect, no other can be had right now")
    return EXIT_OK


def _refusal(answer: Answer) -> str:
    """Put a problem document (RFC 9457) into one line: its detail, its code, and when to ask again."""
    problem = answer.document()
    if "code" not in problem:
        return f"the answer {answer.status} is not a sidecar's: is this the vending listener?"
    line = f"{problem.get('detail') or problem.get('title')} ({problem['code']})"
    partner = problem.get("partner")
    if isinstance(partner, dict):
        line += "; partner: " + ", ".join(f"{key} {value}" for key, value in partner.items() if value)
    if "retryAfter" in problem:
        line += f"; try again in {problem['retryAfter']} s"
    return line
