"""A bug's trace that is safe to log: files, lines and exception classes, never texts or values."""

from __future__ import annotations

import traceback
from pathlib import Path
from types import CodeType


def bare_trace(error: BaseException | None) -> str:
    """Where `error` came from, innermost frame last, then its class and those of what caused it."""
    if error is None:
        return ""
    # Walked, not extracted: that would read the source files for lines nobody shows.
    frames = [_place(frame.f_code, line) for frame, line in traceback.walk_tb(error.__traceback__)]
    return " > ".join([*frames, " from ".join(_classes(error))])


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
