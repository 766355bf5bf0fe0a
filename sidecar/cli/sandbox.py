"""`token-sidecar sandbox`: a simulated partner."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from sidecar.cli.arguments import checked, offset_s
from sidecar.cli.output import EXIT_FAILED, EXIT_OK, add_command, complain, say

if TYPE_CHECKING:
    from sidecar.cli.output import Commands
    from sidecar.core.model import Credentials
    from sidecar.sandbox import Sandbox, SandboxConfig

_DEMO_KEY, _DEMO_SECRET, _DEMO_SIGNING_KEY = "demo-api-key", "demo-api-secret", "demo-signing-key"

_DESCRIPTION = """\
Run a simulated partner. It validates each request, its tokens expire, and its rate limit returns 429. It creates
payments, refunds them, shows checkout pages, and checks signatures. What the partner does not document is an option
here, so that each possibility can be tried. Its tokens are only for tests, and no money moves. Ctrl-C stops it.

With --partner it is one partner: pay1st or flow1st, oauth2 as the settings describe it, or a table of the file that
SIDECAR_CONFIG names. It takes exactly the token requests of the table, and a token and a signature for each request
that gateway_allow names, to which it answers what arrived. docs/partners.md tells how to write a table.

The control path /_sandbox/ makes it fail, and lists the requests that arrived. Only loopback clients reach it.
docs/sandbox.md describes all of it, with a pytest fixture.
"""

_EPILOG = """\
examples:
  token-sidecar sandbox
  token-sidecar sandbox --rate 2/60 --retry-after none --token-lifetime 120
  token-sidecar sandbox --signed-requests all --timestamp-of token --clock-offset -600
  SIDECAR_CONFIG=sidecar.toml token-sidecar sandbox --partner acme
  SIDECAR_TOKEN_PATH=/oauth2/token SIDECAR_SCOPE=payments token-sidecar sandbox --partner oauth2
  curl -X POST http://127.0.0.1:8080/_sandbox/faults -d '{"fault": "status", "status": 429, "count": 3}'
  curl http://127.0.0.1:8080/_sandbox/faults -d '{"fault": "hang", "path": "/api/pay1st/payments/create"}'
  curl http://127.0.0.1:8080/_sandbox/journal
  curl http://127.0.0.1:8080/_sandbox/stats

a sidecar that uses it:
  SIDECAR_BASE_URL=http://127.0.0.1:8080 SIDECAR_API_KEY=demo-api-key SIDECAR_API_SECRET=demo-api-secret \\
  token-sidecar serve

control path (POST returns 204, or 400 with the reason):
  GET  /_sandbox/journal      the last 10,000 requests: method, path, status, partnerReference, whether the signature
                              held; and how often each status was returned by each path
  GET  /_sandbox/stats        token calls by operation and status
  POST /_sandbox/faults       {"fault": NAME}, which is one of slow, hang, reset, lost-reply, status, html, empty,
                              truncated, cut-off, malformed-json, not-object, huge, redirect; and of token calls alone
                              missing-token, wrong-role, same-token, extra-fields. It applies to the next token call.
                              Further fields: "path" ("*" at its end stands for any rest) and "method", or "operation"
                              (grant or refresh), to which it applies instead; "count" (default 1, 0: until a reset);
                              "latency_s"; "processed": true (the request takes effect first); "status", "retry_after"
  POST /_sandbox/payments     {"reference": "C-1-P", "status": "SUCCESSFUL"}: what became of a payment
  POST /_sandbox/credentials  {"apiKey": ..., "apiSecret": ..., "signingKey": ...}: the only ones that are accepted now
  POST /_sandbox/revoke       ends every token
  POST /_sandbox/reset        no tokens, no payments, no faults, an empty journal
"""


def add_to(commands: Commands) -> None:
    from sidecar.config import parsers
    from sidecar.config.parsers import address

    parser = add_command(commands, "sandbox", _run, "a simulated partner", _DESCRIPTION, _EPILOG)
    add = parser.add_argument
    add("--partner", metavar="NAME", help="the partner to simulate (default: pay1st and flow1st)")
    add("--listen", type=checked(address), default="127.0.0.1:8080", help="host:port (default: %(default)s)")
    add("--api-key", default=_DEMO_KEY, help="the accepted API key (default: %(default)s)")
    add("--api-secret", default=_DEMO_SECRET, help="the accepted API secret (default: %(default)s)")
    add("--signing-key", default=_DEMO_SIGNING_KEY, help="the Signing Key of requests (default: %(default)s)")
    add(
        "--credentials-dir",
        type=Path,
        help="read all three from the files api-key, api-secret and signing-key in this directory; without a file"
        " signing-key, signatures are not checked; with private_key_jwt, private-key is read in place of api-secret",
    )
    add("--role", help="the accepted role (default: API_USER, and with --partner SIDECAR_ROLE of the settings)")
    add(
        "--rate",
        type=checked(parsers.budget),
        default="10/60",
        help="rate limit: token calls / seconds (default: %(default)s)",
    )
    add(
        "--token-lifetime",
        type=checked(parsers.number(1, 31 * 86_400)),
        default="900",
        metavar="S",
        help="token lifetime in seconds (default: %(default)s)",
    )
    add(
        "--retry-after",
        choices=("seconds", "date", "none"),
        default="seconds",
        help="format of Retry-After in a 429 response (default: %(default)s)",
    )
    add("--revoke-previous", action="store_true", help="a new token revokes the previous ones")
    add("--revoke-on-grant", action="store_true", help="the same, only for a new token from key and secret")
    add("--revoke-on-refresh", action="store_true", help="the same, only for a new token from a refresh token")
    add(
        "--refresh-reuse",
        choices=("refuse", "end-family", "accept"),
        default="refuse",
        help="when a refresh token is used again: refuse it, also end every token of the same grant, or accept it"
        " (default: %(default)s)",
    )
    add("--same-token", action="store_true", help="return the same token until it expires")
    add(
        "--declare-lifetime",
        action="store_true",
        help="include the remaining lifetime in seconds (expiresIn); a table with expires_field always does",
    )
    add(
        "--latency",
        type=checked(parsers.number(0, 60)),
        default="0",
        metavar="S",
        help="delay of every token call, in seconds (default: %(default)s)",
    )
    add(
        "--signed-requests",
        choices=("posts", "all", "none"),
        default="posts",
        help="requests that must be signed, apart from token calls (default: %(default)s)",
    )
    add(
        "--timestamp-of",
        choices=("request", "token"),
        default="request",
        help="what a signature's timestamp must be close to: the arrival of the request, or the issue of its access"
        " token (default: %(default)s)",
    )
    add(
        "--timestamp-tolerance",
        type=checked(parsers.number(0, 86_400)),
        default="300",
        metavar="S",
        help="how close, in seconds (default: %(default)s)",
    )
    add(
        "--clock-offset",
        type=offset_s,
        default="0",
        metavar="S",
        help="how far the partner's clock is ahead, in Date and for timestamps; negative: behind"
        " (default: %(default)s)",
    )
    add("--no-date", action="store_true", help="send no Date header")
    add(
        "--control-beyond-loopback",
        action="store_true",
        help="clients that are not on loopback reach the control path too, for a sandbox in a container of its own",
    )


def _run(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    from sidecar.app.clock import SystemClock
    from sidecar.app.running import run
    from sidecar.sandbox import Sandbox

    config = _config(args, environ)
    return run(lambda: _serve(Sandbox(config, SystemClock()), args.listen.host, args.listen.port))


def _config(args: argparse.Namespace, environ: Mapping[str, str]) -> SandboxConfig:
    """Return what the options say. Raises `CredentialsError`, `ConfigurationError`."""
    from sidecar.config.partners import named_partner
    from sidecar.core.errors import ConfigurationError
    from sidecar.partner.presets import PRESETS
    from sidecar.sandbox import SandboxConfig

    partners, role = tuple(PRESETS.values()), "API_USER"
    if args.partner is not None:
        table, role = named_partner(args.partner, environ, PRESETS)
        partners = (table,)
    by_private_key = any(one.client_auth == "private_key_jwt" for one in partners)
    if by_private_key and args.credentials_dir is None:
        raise ConfigurationError(["--credentials-dir is missing: the files api-key and private-key check assertions"])
    credentials = _credentials(args, by_private_key=by_private_key)
    return SandboxConfig(
        api_key=credentials.api_key,
        api_secret=credentials.api_secret,
        signing_key=credentials.signing_key,
        limit=args.rate,
        token_lifetime_s=args.token_lifetime,
        retry_after=args.retry_after,
        revoke_previous=args.revoke_previous,
        revoke_on_grant=args.revoke_on_grant,
        revoke_on_refresh=args.revoke_on_refresh,
        refresh_reuse=args.refresh_reuse,
        signed_requests=args.signed_requests,
        timestamp_of=args.timestamp_of,
        timestamp_tolerance_s=args.timestamp_tolerance,
        clock_offset_s=args.clock_offset,
        sends_date=not args.no_date,
        control_beyond_loopback=args.control_beyond_loopback,
        same_token=args.same_token,
        declares_lifetime=args.declare_lifetime or any(one.expires_field for one in partners),
        partners=partners,
        role=args.role or role,
        latency_s=args.latency,
    )


async def _serve(sandbox: Sandbox, host: str, port: int) -> int:
    """Run until SIGTERM or SIGINT."""
    import asyncio

    from sidecar.app import signals

    stop = asyncio.Event()
    try:
        url = await sandbox.start(host, port)
    except OSError as error:
        complain("sandbox", f"cannot listen on {host}:{port}: {error.strerror or type(error).__name__}")
        return EXIT_FAILED
    try:
        # Before the line is printed: its reader may send a signal at once.
        with signals.delivered(asyncio.get_running_loop(), stop.set, lambda: None):
            say(f"the simulated partner listens at {url}; Ctrl-C stops it")
            await stop.wait()
    finally:
        await sandbox.stop()
    return EXIT_OK


def _credentials(args: argparse.Namespace, *, by_private_key: bool) -> Credentials:
    """Return the credentials that the sandbox accepts. Raises `CredentialsError`."""
    from sidecar.core.model import Credentials, Secret
    from sidecar.credentials.directory import DirectoryCredentials

    if args.credentials_dir is not None:
        return DirectoryCredentials(args.credentials_dir, by_private_key=by_private_key).read()
    return Credentials(
        api_key=Secret(args.api_key), api_secret=Secret(args.api_secret), signing_key=Secret(args.signing_key)
    )
