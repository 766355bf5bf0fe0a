"""The caller tokens from a mounted file, which may be replaced at run time.

The tokens that callers may present.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeAlias, TypeVar

from sidecar.core.errors import ConfigurationError
from sidecar.core.events import CredentialsUnreadable
from sidecar.core.model import Seconds, Secret
from sidecar.core.ports import EventSink
from sidecar.file_operations import FileOperationError, FileOperations, read_in_time
from sidecar.secret_file import FileStamp, SecretFileError, caller_token_problem, file_stamp, read_lines


class CallerTokens:
    """Accepts any of several tokens, so that one can be replaced without an outage. Holds only their digests."""

    def __init__(self, tokens: Iterable[Secret]) -> None:
        self._digests = tuple(_digest(token.reveal()) for token in tokens)

    def accept(self, offered: str) -> bool:
        """Compare with each token, in a time that depends neither on the texts nor on which token is equal.

        Digests are compared, because `hmac.compare_digest` returns early when the lengths differ. Header text may have
        bytes that are not UTF-8.
        """
        digest = _digest(offered)
        accepted = False
        for known in self._digests:
            accepted |= hmac.compare_digest(digest, known)
        return accepted


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()


LOOK_EVERY_S: Seconds = 1
"""A token that was removed from the file is accepted for at most this time."""

T = TypeVar("T")
_Version: TypeAlias = tuple[FileStamp | None, tuple[Secret, ...] | ConfigurationError]


class CallerTokenFile:
    """Called at each request: returns the tokens of the latest `look`.

    For a new version that cannot be used, one event is emitted, and the previous tokens stay in force.
    """

    def __init__(
        self, path: Path, sink: EventSink, operations: FileOperations, learn: Callable[[Secret], None] = lambda _: None
    ) -> None:
        """`learn` is called with each token that was not in the file before.

        Raises `ConfigurationError` when the file has no usable token at the start.
        """
        self._path = path
        self._learn = learn
        self._sink = sink
        self._operations = operations
        # The stamp is taken before the file is read: a write in between gives another stamp at the next look.
        self._stamp, self._tokens = _in_time(path, lambda: file_stamp(path)), CallerTokens(())
        self._use(first_caller_tokens(path))

    def __call__(self) -> CallerTokens:
        return self._tokens

    async def look(self) -> None:
        """Read the file if it has changed, without a time limit."""
        try:
            found = await self._operations.start(lambda: _version_after(self._stamp, self._path))
        except FileOperationError:
            return  # no thread could be started: the next look tries again
        if found is None:
            return
        self._stamp, tokens = found
        if isinstance(tokens, ConfigurationError):
            self._sink.emit(CredentialsUnreadable(problem="; ".join(tokens.problems)))
        else:
            self._use(tokens)

    def _use(self, tokens: Sequence[Secret]) -> None:
        for token in tokens:
            if not self._tokens.accept(token.reveal()):
                self._learn(token)
        self._tokens = CallerTokens(tokens)


def first_caller_tokens(path: Path) -> tuple[Secret, ...]:
    """Read the tokens at the start. Raises `ConfigurationError` as `read_caller_tokens`, and when the file hangs."""
    return _in_time(path, lambda: read_caller_tokens(path))


def _in_time(path: Path, read: Callable[[], T]) -> T:
    """Return the result of `read`. Raises `ConfigurationError` when it hangs or cannot be started."""
    try:
        return read_in_time(read)
    except FileOperationError as error:
        raise ConfigurationError([f"{_place(path)}: {error}"]) from None


def _version_after(stamp: FileStamp | None, path: Path) -> _Version | None:
    """Return the file's stamp and its tokens, or their error; None where the stamp is still `stamp`."""
    found = file_stamp(path)
    if found == stamp:
        return None
    try:
        return found, read_caller_tokens(path)
    except ConfigurationError as error:
        return found, error


def read_caller_tokens(path: Path) -> tuple[Secret, ...]:
    """Read one token from each line, and skip blank lines.

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
