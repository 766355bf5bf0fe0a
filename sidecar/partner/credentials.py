"""Where the partner's key and secret come from: mounted files, or values given at start.

A mounted Kubernetes Secret is a directory whose `..data` links to a directory with the current version; the link is
swapped in one step, then the old version is deleted. Reading through one open directory, and looking afterwards whether
it is still the current one, never mixes two versions.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from sidecar.core.errors import CredentialsError
from sidecar.core.model import Credentials, Secret

MAX_FILE_BYTES = 16 * 1024
_FILES = ("api-key", "api-secret", "signing-key")
_ATTEMPTS = 100

_Fingerprint: TypeAlias = tuple[tuple[int, ...], ...]


class StaticCredentials:
    """`core.ports.CredentialsSource` of one pair that never changes.

    Raises `CredentialsError` for a pair that cannot be sent.
    """

    def __init__(self, credentials: Credentials) -> None:
        _check("api-key", credentials.api_key.reveal())
        _check("api-secret", credentials.api_secret.reveal())
        self._credentials = credentials

    def read(self) -> Credentials:
        return self._credentials


class DirectoryCredentials:
    """`core.ports.CredentialsSource` over a directory with `api-key`, `api-secret` and perhaps `signing-key`.

    UTF-8, white space at the ends stripped, at most `MAX_FILE_BYTES` each. In a plain directory, without `..data`, a
    change during the reading is seen by the files' times.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Credentials:
        """The current pair. Raises `CredentialsError`, which names the file and the problem, never the content."""
        for _ in range(_ATTEMPTS):
            outcome = self._read_once()
            if isinstance(outcome, CredentialsError):
                raise outcome
            if outcome is not None:
                return outcome
        raise CredentialsError(f"{self._path}: changed during each of {_ATTEMPTS} readings")

    def _read_once(self) -> Credentials | CredentialsError | None:
        """What is in the directory, usable or not; None when it changed meanwhile, so that it means nothing."""
        try:
            with _opened(self._data_path()) as directory:
                before = _fingerprint(directory)
                outcome = self._outcome(directory)
                unchanged = _fingerprint(directory) == before and self._is_current(directory)
        except OSError as error:
            # A version that was deleted between two steps leaves a link behind only for an instant.
            vanished = isinstance(error, FileNotFoundError) and os.path.lexists(self._data_path())
            return None if vanished else CredentialsError(f"{self._path}: {error.strerror}")
        return outcome if unchanged else None

    def _outcome(self, directory: int) -> Credentials | CredentialsError:
        try:
            return _read_credentials(directory)
        except CredentialsError as error:
            return CredentialsError(f"{self._path}/{error}")

    def _data_path(self) -> Path:
        versions = self._path / "..data"
        return versions if os.path.lexists(versions) else self._path

    def _is_current(self, directory: int) -> bool:
        # While we hold it open its inode number cannot be given to a successor.
        return os.path.samestat(os.fstat(directory), self._data_path().stat())


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield directory
    finally:
        os.close(directory)


def _fingerprint(directory: int) -> _Fingerprint:
    """Tells whether any of the files was written, replaced, added or removed."""
    return tuple(_file_state(name, directory) for name in _FILES)


def _file_state(name: str, directory: int) -> tuple[int, ...]:
    try:
        status = os.stat(name, dir_fd=directory)
    except FileNotFoundError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _read_credentials(directory: int) -> Credentials:
    """Raises `CredentialsError`, which names the file."""
    signing_key = _read_text("signing-key", directory)
    return Credentials(
        api_key=Secret(_read_required("api-key", directory)),
        api_secret=Secret(_read_required("api-secret", directory)),
        signing_key=None if signing_key is None else Secret(signing_key),
    )


def _read_required(name: str, directory: int) -> str:
    text = _read_text(name, directory)
    if text is None:
        raise CredentialsError(f"{name}: no such file")
    return text


def _read_text(name: str, directory: int) -> str | None:
    """The stripped text of one file, or None when there is no such file. Raises `CredentialsError`."""
    try:
        content = _read_bytes(name, directory)
        text = content.decode().strip()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise CredentialsError(f"{name}: {error.strerror}") from None
    except UnicodeDecodeError:
        # Without the cause: it holds the bytes.
        raise CredentialsError(f"{name}: not UTF-8") from None
    _check(name, text)
    return text


def _read_bytes(name: str, directory: int) -> bytes:
    # Non-blocking, or a FIFO in the file's place would stop the process.
    with os.fdopen(os.open(name, os.O_RDONLY | os.O_NONBLOCK, dir_fd=directory), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise CredentialsError(f"{name}: not a regular file")
        content = file.read(MAX_FILE_BYTES + 1)
    if len(content) > MAX_FILE_BYTES:
        raise CredentialsError(f"{name}: longer than {MAX_FILE_BYTES} bytes")
    return content


def _check(name: str, text: str) -> None:
    """Refuse what Basic authentication cannot carry (RFC 7617 section 2)."""
    if not text:
        raise CredentialsError(f"{name}: empty")
    if any(unicodedata.category(char) in ("Cc", "Cs") for char in text):
        raise CredentialsError(f"{name}: has a control character")
    if name == "api-key" and ":" in text:
        raise CredentialsError(f"{name}: has a colon, which would end it early")
