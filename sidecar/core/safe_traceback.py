"""A bug's trace that is safe to log: files, lines and exception classes, never texts or values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import CodeType, TracebackType

MAX_PLACES = 40
"""An endless recursion has a thousand; a line that fits into a pipe at once (4096 bytes) has room for so many."""


def safe_line(what: str, error: BaseException | None) -> str:
    """Return the line for stderr about an unexpected error."""
    return f"token-sidecar: {what}{f': {safe_traceback(error)}' if error else ''}"


def safe_traceback(error: BaseException | None) -> str:
    """Where `error` came from, innermost frame last, then its class and those of what caused it."""
    if error is None:
        return ""
    places = [*_places(error.__traceback__)]
    if len(places) > MAX_PLACES:
        half = MAX_PLACES // 2
        places = [*places[:half], "...", *places[-half:]]
    return " > ".join([*places, " from ".join(_classes(error))])


def _places(trace: TracebackType | None) -> Iterator[str]:
    # Walked here: the standard library reads the source files for lines that are not shown, or at least its modules.
    while trace is not None:
        yield _place(trace.tb_frame.f_code, trace.tb_lineno)
        trace = trace.tb_next


def _place(code: CodeType, line: int) -> str:
    path = Path(code.co_filename)
    return f"{path.parent.name}/{path.name}:{line} {code.co_name}"


def _classes(error: BaseException) -> list[str]:
    names: list[str] = []
    current: BaseException | None = error
    while current is not None:
        names.append(type(current).__name__)
        current = current.__cause__ or current.__context__
    return names
