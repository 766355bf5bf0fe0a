"""Prints unexpected errors as their origin and class only, because an error's text may quote a secret."""

from __future__ import annotations

import sys
import threading
import warnings
from pathlib import Path
from types import TracebackType
from typing import TextIO

from sidecar.core.model import Seconds
from sidecar.core.safe_traceback import bare_line
from sidecar.telemetry.unread_streams import takes_a_line

_LAST_WORD_S: Seconds = 0.5


def install() -> None:
    """Replace Python's output for uncaught errors, in any thread, and for warnings.

    A running service handles warnings itself; `check` and the sandbox do not.
    """
    sys.excepthook = _uncaught
    threading.excepthook = lambda args: _say("thread", args.exc_value)
    sys.unraisablehook = lambda args: _say("clean-up", args.exc_value)
    warnings.showwarning = _warned


def _warned(
    message: Warning | str,  # noqa: ARG001 - Python's signature; the text must not be shown
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,  # noqa: ARG001 - the same
    line: str | None = None,  # noqa: ARG001 - the same
) -> None:
    _say(f"{category.__name__} ({Path(filename).name}:{lineno})", None)


def _uncaught(_kind: type[BaseException], error: BaseException, _trace: TracebackType | None) -> None:
    _say("internal failure", error, _LAST_WORD_S)


def _say(what: str, error: BaseException | None, within_s: Seconds = 0) -> None:
    # A process that ends may have no stderr any more. One with an unread stderr must end as well.
    if takes_a_line(sys.stderr, within_s):
        print(bare_line(what, error), file=sys.stderr)
