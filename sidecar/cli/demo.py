"""`token-sidecar demo`: a simulated partner and a sidecar in one process, to try."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING

from sidecar.cli.output import add_command, say

if TYPE_CHECKING:
    from sidecar.cli.output import Commands

_DESCRIPTION = """\
Start a simulated partner and a sidecar in one process, with the store in memory, and print a curl command that gets a
token, and one that creates a payment through the gateway. It needs no configuration and calls nothing outside this
machine. Ctrl-C stops it.
"""

_EPILOG = """\
examples:
  token-sidecar demo
  token-sidecar demo --port 0 --admin-port 0 --gateway-port 0       on free ports
"""


def add_to(commands: Commands) -> None:
    parser = add_command(commands, "demo", _run, "a sidecar and a simulated partner, to try", _DESCRIPTION, _EPILOG)
    parser.add_argument("--port", type=int, default=8181, help="port of the vending listener (default: %(default)s)")
    parser.add_argument(
        "--admin-port",
        type=int,
        default=9181,
        help="port of the admin listener: probes, metrics, status (default: %(default)s)",
    )
    parser.add_argument("--gateway-port", type=int, default=8282, help="port of the gateway (default: %(default)s)")


def _run(args: argparse.Namespace, _environ: Mapping[str, str]) -> int:
    from sidecar.app.demo import demo
    from sidecar.app.running import run

    ports = {"port": args.port, "admin_port": args.admin_port, "gateway_port": args.gateway_port}
    return run(lambda: demo(**ports, say=_say))


def _say(line: str) -> None:
    from sidecar.telemetry.line_writer import takes_a_line

    # The demo continues while no process reads its pipe.
    if sys.stdout is None or takes_a_line(sys.stdout):
        say(line)
