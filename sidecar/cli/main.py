"""Parses the command line, runs the command, and turns an error into one line and an exit code."""

from __future__ import annotations

import argparse
import contextlib
import io
from collections.abc import Mapping, Sequence

from sidecar import __version__
from sidecar.cli import check, demo, print_token, sandbox, serve, status, survey
from sidecar.cli.output import (
    EXIT_CONFIGURATION,
    EXIT_FAILED,
    EXIT_INTERRUPTED,
    EXIT_OUTPUT,
    HELP_FORM,
    OutputError,
    complain,
    say,
    warn,
)
from sidecar.core.errors import ConfigurationError, CredentialsError, SidecarError

_EPILOG = """\
first steps:
  token-sidecar demo                      a sidecar and a simulated partner, to try with curl
  token-sidecar serve --help              every setting with its default
  token-sidecar check --live              test settings, credentials and store

exit codes: 0 success, 1 failure, 2 invalid configuration or command line; status: 3 no sidecar answers;
74 output cannot be written (closed stdout, full disk, closed pipe); the reason is on stderr
"""


_COMMANDS = {
    "serve": serve,
    "check": check,
    "status": status,
    "token": print_token,
    "survey": survey,
    "sandbox": sandbox,
    "demo": demo,
}


def run(argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run the command that `argv` names and return its exit code. Raises `SystemExit` for `--help` and misuse (2)."""
    command = argv[0] if argv and argv[0] in _COMMANDS else ""
    try:
        args = _parsed(argv)
        code: int = args.run(args, environ)
    except ConfigurationError as error:
        for problem in error.problems:
            complain(command, problem)
        return EXIT_CONFIGURATION
    except CredentialsError as error:
        for problem in error.problems:
            complain(command, problem)
        return EXIT_FAILED
    except OutputError as error:
        complain(command, str(error))
        return EXIT_OUTPUT
    except SidecarError as error:
        complain(command, str(error))
        return EXIT_FAILED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
    return code


def _parsed(argv: Sequence[str]) -> argparse.Namespace:
    """Parse the command line. Raises `OutputError` for a help text that cannot be written, and `SystemExit`."""
    out, err = io.StringIO(), io.StringIO()
    try:
        # For a stream that cannot be written argparse hides the error or ends with a traceback, depending on Python's
        # version.
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return _parser(argv).parse_args(argv)
    except SystemExit:
        warn(*err.getvalue().splitlines())
        if out.getvalue():
            say(*out.getvalue().splitlines())
        raise


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Build the parser of the command in `argv[0]`, else of all: building all of them takes longer than `status`."""
    parser = argparse.ArgumentParser(
        prog="token-sidecar",
        description="Keeps one partner access token for a whole fleet and vends it on localhost.",
        epilog=_EPILOG,
        formatter_class=HELP_FORM,
    )
    parser.add_argument("--version", action="version", version=f"token-sidecar {__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    named = _COMMANDS.get(argv[0]) if argv else None
    for command in _COMMANDS.values() if named is None else (named,):
        command.add_to(commands)
    return parser
