"""The caller tokens: a mounted file that may be replaced while we run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sidecar.core.errors import ConfigurationError
from sidecar.core.events import CredentialsUnreadable
from sidecar.core.model import Secret
from sidecar.core.ports import EventSink
from sidecar.secret_file import SecretFileError, caller_token_problem, file_stamp, read_lines
from sidecar.web.caller_tokens import CallerTokens


class CallerTokenFile:
    """Called at each request; reads the file only when it has changed.

    A new version that cannot be used is told once, and the tokens before it stay in force.
    """

    def __init__(self, path: Path, sink: EventSink, learn: Callable[[Secret], None] = lambda _: None) -> None:
        """`learn` is told each token that was not in the file before.

        Raises `ConfigurationError` when there is none to start with.
        """
        self._path = path
        self._learn = learn
        self._sink = sink
        self._stamp = file_stamp(path)
        self._tokens = CallerTokens(())
        self._read()

    def __call__(self) -> CallerTokens:
        stamp = file_stamp(self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            try:
                self._read()
            except ConfigurationError as error:
                self._sink.emit(CredentialsUnreadable(problem="; ".join(error.problems)))
        return self._tokens

    def _read(self) -> None:
        """Raises `ConfigurationError`."""
        tokens = read_caller_tokens(self._path)
        for token in tokens:
            if not self._tokens.accept(token.reveal()):
                self._learn(token)
        self._tokens = CallerTokens(tokens)


def read_caller_tokens(path: Path) -> tuple[Secret, ...]:
    """Read one token a line, blank lines passed over.

    Raises `ConfigurationError` with every problem by file and line, never with content.
    """
    try:
        lines = read_lines(path)
    except SecretFileError as error:
        raise ConfigurationError([f"{_place(path)}: {error}"]) from None
    if not lines:
        raise ConfigurationError([f"{_place(path)}: empty"])
    problems = [
        f"{_place(path)}, line {number}: {problem}" for number, line in lines if (problem := caller_token_problem(line))
    ]
    if problems:
        raise ConfigurationError(problems)
    return tuple(Secret(line) for _, line in lines)


def _place(path: Path) -> str:
    return f"SIDECAR_CALLER_TOKEN_FILE: {path}"
