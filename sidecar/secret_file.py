"""Reads the files that hold secrets or settings: only regular files, in UTF-8, up to a maximum size.

Errors contain only the problem, not the path or the content: the caller names the file.
"""

from __future__ import annotations

import os
import re
import stat
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

MAX_SECRET_BYTES = 16 * 1024
"""For a file with one secret."""
MAX_LINES_BYTES = 64 * 1024
"""For a file with one secret a line."""
MAX_CERTIFICATES_BYTES = 4 * 1024 * 1024
"""Many times the size of a bundle of all public CAs."""
MIN_CALLER_TOKEN_CHARACTERS, MAX_CALLER_TOKEN_CHARACTERS = 16, 4096

FileStamp: TypeAlias = tuple[int, ...]

_ATTEMPTS = 100
_VISIBLE_ASCII = re.compile("[!-~]+")
_LINE_END = re.compile(r"\r\n|\r|\n")
_QUOTES = ('""', "''", "``", "\u201c\u201d", "\u201e\u201c", "\u2018\u2019")
_CONTROL = ("Cc", "Cs")
_INVISIBLE = ("Cf", "Zl", "Zp", "Zs")
# Letters, marks and symbols by category, but drawn as nothing: fillers, joiners, variation selectors, empty Braille.
_BLANK = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180d\u180f\u2800\u3164\ufe00-\ufe0f\uffa0]")


class SecretFileError(Exception):
    """The file cannot be used."""

    @property
    def problems(self) -> Sequence[str]:
        """Each problem, in a form that follows the name of the file."""
        return [f": {self}"]


class SecretLinesError(SecretFileError):
    """The file can be read, but lines of it cannot be used."""

    def __init__(self, problems: Sequence[str]) -> None:
        super().__init__("; ".join(problems))
        self._problems = problems

    @property
    def problems(self) -> Sequence[str]:
        return self._problems


class NoSecretFileError(SecretFileError):
    """There is no such file."""


def read_secret(path: str | Path, *, directory: int | None = None) -> str:
    """Return the one secret in a file, without white space at its ends. Raises `SecretFileError`.

    `directory` is an open directory to which `path` is relative.
    """
    text = read_text(path, MAX_SECRET_BYTES, directory=directory).strip()
    if problem := secret_problem(text):
        raise SecretFileError(problem)
    return text


def read_lines(path: str | Path) -> list[tuple[int, str]]:
    """Return the lines that are not blank, stripped, each with its number from 1. Raises `SecretFileError`."""
    lines = enumerate(_LINE_END.split(read_text(path, MAX_LINES_BYTES)), start=1)
    return [(number, line.strip()) for number, line in lines if line.strip()]


def caller_token_lines(path: Path) -> list[str]:
    """Return the caller tokens in a file, one a line, at least one. Raises `SecretFileError`, `SecretLinesError`."""
    lines = read_lines(path)
    problems = [f", line {number}: {problem}" for number, line in lines if (problem := caller_token_problem(line))]
    if problems or not lines:
        raise SecretLinesError(problems or [": empty"])
    return [line for _, line in lines]


def read_text(path: str | Path, max_bytes: int, *, directory: int | None = None) -> str:
    """Return the text of a file, without a byte order mark. Raises `SecretFileError`."""
    content = read_bytes(path, max_bytes, directory=directory)
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        # Without the cause: it holds the bytes.
        raise SecretFileError("not UTF-8") from None


def read_certificates(path: Path) -> bytes:
    """Return the content of a file of certificates. Raises `SecretFileError`."""
    return read_bytes(path, MAX_CERTIFICATES_BYTES)


def read_bytes(path: str | Path, max_bytes: int, *, directory: int | None = None) -> bytes:
    """Return the content of a file. Raises `SecretFileError`."""
    for _ in range(_ATTEMPTS):
        try:
            return _read_once(path, max_bytes, directory)
        except FileNotFoundError:
            # In a mounted Kubernetes Secret the file is a link through `..data`. Its target version may have been
            # deleted between two steps; then the link points to the next version now.
            if not _is_link(path, directory):
                break
        except OSError as error:
            raise SecretFileError(error.strerror or type(error).__name__) from None
        except ValueError:
            raise SecretFileError("no file can have this path") from None
    raise NoSecretFileError("no such file")


def secret_problem(text: str) -> str:
    """Return why a text cannot be the intended secret; empty when nothing is wrong."""
    if not text:
        return "empty"
    if _LINE_END.search(text):
        return "has several lines where one is meant"
    for char in text:
        category = unicodedata.category(char)
        if category in _CONTROL:
            return "has a control character"
        if (category in _INVISIBLE and char != " ") or _BLANK.match(char):
            return f"has an invisible character (U+{ord(char):04X})"
    if len(text) > 1 and text[0] + text[-1] in _QUOTES:
        return "has quotes around it"
    return ""


def caller_token_problem(line: str) -> str:
    """Return why a line is not a valid caller token; empty when it is valid."""
    if problem := secret_problem(line):
        return problem
    if not _VISIBLE_ASCII.fullmatch(line):
        return "has a space or a character beyond ASCII"
    if len(line) < MIN_CALLER_TOKEN_CHARACTERS:
        return f"shorter than {MIN_CALLER_TOKEN_CHARACTERS} characters"
    if len(line) > MAX_CALLER_TOKEN_CHARACTERS:
        return f"longer than {MAX_CALLER_TOKEN_CHARACTERS} characters"
    return ""


def file_stamp(path: Path) -> FileStamp | None:
    """Return a value that changes when the file (or a link's target) is written or replaced; None on an error."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return stamp_of(status)


def stamp_of(status: os.stat_result) -> FileStamp:
    # A new file may get the inode number of a deleted one, and the resolution of times is the kernel's tick.
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read_once(path: str | Path, max_bytes: int, directory: int | None) -> bytes:
    # Without O_NONBLOCK, opening a FIFO blocks until a writer opens it.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise SecretFileError("not a regular file")
        content = b""
        while len(content) <= max_bytes and (read := os.read(descriptor, max_bytes + 1 - len(content))):
            content += read
    finally:
        os.close(descriptor)
    if len(content) > max_bytes:
        raise SecretFileError(f"longer than {max_bytes} bytes")
    return content


def _is_link(path: str | Path, directory: int | None) -> bool:
    try:
        return stat.S_ISLNK(os.lstat(path, dir_fd=directory).st_mode)
    except OSError:
        return False
