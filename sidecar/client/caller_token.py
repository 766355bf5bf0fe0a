"""The caller token that is sent to the sidecar: a text, or a file that is read again when it changes."""

from __future__ import annotations

from os import PathLike
from pathlib import Path

from sidecar.secret_file import SecretFileError, SecretLinesError, caller_token_lines, file_stamp


class CallerToken:
    """Holds the current caller token; empty if the sidecar requires none. `repr` and errors do not contain it."""

    __slots__ = ("_current", "_path", "_stamp")

    def __init__(self, text: str = "", file: str | PathLike[str] | None = None) -> None:
        """`text` is a line of the sidecar's file, or its whole content. The first line of `text` or `file` is used.

        Raises `ValueError` when it cannot be used, or both are given.
        """
        if text and file is not None:
            raise ValueError("the caller token must be given as a text or as a file, not as both")
        self._path = None if file is None else Path(file)
        self._stamp = None if self._path is None else file_stamp(self._path)
        self._current = _checked(text) if self._path is None else _read(self._path)[0]

    def current(self) -> str:
        """Return the first line of the file; after a rejection, the line of `instead_of` until the file changes.

        If the file becomes unusable, the last token stays in use, as in the sidecar.
        """
        if self._path is not None and (stamp := file_stamp(self._path)) != self._stamp:
            self._stamp = stamp
            self._current = _usable(self._path, self._current)[0]
        return self._current

    def instead_of(self, rejected: str) -> str | None:
        """Return another line of the current file and use it from now on; None when there is none.

        In a rotation the sidecar may read the new file earlier or later than this process.
        """
        if self._path is None:
            return None
        self._stamp = file_stamp(self._path)
        other = next((line for line in _usable(self._path, rejected) if line != rejected), None)
        self._current = other or self._current
        return other


def _usable(path: Path, otherwise: str) -> list[str]:
    try:
        return _read(path)
    except ValueError:
        return [otherwise]


def _read(path: Path) -> list[str]:
    """Return the lines of the file, at least one. Raises `ValueError` with the path and the problem."""
    try:
        return caller_token_lines(path)
    except SecretLinesError as error:
        raise ValueError(f"the caller token file must hold a token a line: {path}{error.problems[0]}") from None
    except SecretFileError as error:
        raise ValueError(f"the caller token file must be readable: {path}: {error}") from None


def _checked(text: str) -> str:
    # Some editors write a byte order mark at the start of a file.
    line = text.removeprefix("\ufeff").strip().partition("\n")[0].rstrip()
    # Checked here, because the HTTP library's own error would quote the token.
    if not line.isascii() or not line.isprintable():
        raise ValueError("the caller token must be one line of ASCII text")
    return line
