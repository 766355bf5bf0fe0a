"""The caller token: a mounted file that may be replaced while we run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

from sidecar.core.errors import ConfigurationError
from sidecar.core.events import CredentialsUnreadable
from sidecar.core.model import Secret
from sidecar.core.ports import EventSink

_Stamp: TypeAlias = tuple[int, int, int]


class CallerTokenFile:
    """Called at each request; reads the file only when it has changed.

    A new version that is empty or unreadable is told once, and the token before it stays in force.
    """

    def __init__(self, path: Path, sink: EventSink, learn: Callable[[Secret], None] = lambda _: None) -> None:
        """`learn` is told each token that is read. Raises `ConfigurationError` when there is none to start with."""
        self._path = path
        self._learn = learn
        self._sink = sink
        self._stamp = self._look()
        try:
            self._token = self._read()
        except (OSError, ValueError) as error:
            raise ConfigurationError([self._problem(error)]) from None

    def __call__(self) -> Secret:
        stamp = self._look()
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._token = self._read()
            except (OSError, ValueError) as error:
                self._sink.emit(CredentialsUnreadable(problem=self._problem(error)))
        return self._token

    def _look(self) -> _Stamp | None:
        try:
            seen = self._path.stat()
        except OSError:
            return None
        return seen.st_ino, seen.st_mtime_ns, seen.st_size

    def _read(self) -> Secret:
        text = self._path.read_text(encoding="utf-8").strip()
        if not text:
            raise ValueError("empty")
        token = Secret(text)
        self._learn(token)
        return token

    def _problem(self, error: Exception) -> str:
        # A UnicodeDecodeError's own text would quote the file.
        why = error.strerror if isinstance(error, OSError) else "it is empty or no UTF-8"
        return f"SIDECAR_CALLER_TOKEN_FILE: {self._path} cannot be used: {why}"
