"""`token-sidecar sandbox`: a simulated partner."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sidecar.cli.output import EXIT_FAILED, EXIT_OK, add_command, complain, say

if TYPE_CHECKING:
    from sidecar.cli.output import Commands
    from sidecar.core.model import Credentials
    from sidecar.sandbox import Sandbox

T = TypeVar("T")

_DEMO_KEY, _DEMO_SECRET = "demo-api-key", "demo-api-secret"

_DESCRIPTION = """\
Run a simulated partner. It validates each request, its tokens expire, and its rate limit returns 429. Its tokens are
only for tests. Ctrl-C stops it.
"""

_EPILOG = """\
examples:
  token-sidecar sandbox
  token-sidecar sandbox --rate 2/60 --retry-after none --token-lifetime 120
  curl -X POST http://127.0.0.1:8080/_sandbox/faults -d '{"fault": "status", "status": 429, "count": 3}'
  curl http://127.0.0.1:8080/_sandbox/stats

a sidecar that uses it:
  SIDECAR_BASE_URL=http://127.0.0.1:8080 SIDECAR_API_KEY=demo-api-key SIDECAR_API_SECRET=demo-api-secret \\
  token-sidecar serve
"""


def add_to(commands: Commands) -> None:
    from sidecar.config import parsers
    from sidecar.config.parsers import address

    parser = add_command(commands, "sandbox", _run, "a simulated partner", _DESCRIPTION, _EPILOG)
    add = parser.add_argument
    add("--listen", type=_checked(address), default="127.0.0.1:8080", help="host:port (default: %(default)s)")
    add("--api-key", default=_DEMO_KEY, help="the accepted API key (default: %(default)s)")
    add("--api-secret", default=_DEMO_SECRET, help="the accepted API secret (default: %(default)s)")
    add("--credentials-dir", type=Path, help="read both from the files api-key and api-secret in this directory")
    add(
        "--rate",
        type=_checked(parsers.budget),
        default="10/60",
        help="rate limit: token calls / seconds (default: %(default)s)",
    )
    add(
        "--token-lifetime",
        type=_checked(parsers.number(1, 31 * 86_400)),
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
    add("--revoke-previous", action="store_true", help="a new token revokes the previous one")
    add("--same-token", action="store_true", help="return the same token until it expires")
    add("--declare-lifetime", action="store_true", help="include the remaining lifetime in seconds (expiresIn)")
    add(
        "--latency",
        type=_checked(parsers.number(0, 60)),
        default="0",
        metavar="S",
        help="delay of every token call, in seconds (default: %(default)s)",
    )


def _run(args: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    from sidecar.app.clock import SystemClock
    from sidecar.app.running import run
    from sidecar.sandbox import Sandbox, SandboxConfig

    credentials = _credentials(args)
    config = SandboxConfig(
        api_key=credentials.api_key,
        api_secret=credentials.api_secret,
        limit=args.rate,
        token_lifetime_s=args.token_lifetime,
        retry_after=args.retry_after,
        revoke_previous=args.revoke_previous,
        same_token=args.same_token,
        declares_lifetime=args.declare_lifetime,
        latency_s=args.latency,
    )
    return run(lambda: _serve(Sandbox(config, SystemClock()), args.listen.host, args.listen.port))


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


def _credentials(args: argparse.Namespace) -> Credentials:
    """Return the credentials that the sandbox accepts. Raises `CredentialsError`."""
    from sidecar.core.model import Credentials, Secret
    from sidecar.credentials.directory import DirectoryCredentials

    if args.credentials_dir is not None:
        return DirectoryCredentials(args.credentials_dir).read()
    return Credentials(api_key=Secret(args.api_key), api_secret=Secret(args.api_secret))


def _checked(parse: Callable[[str], T]) -> Callable[[str], T]:
    """Wrap a settings parser for argparse, which shows the text of `ArgumentTypeError` only."""

    def parse_argument(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return parse_argument
