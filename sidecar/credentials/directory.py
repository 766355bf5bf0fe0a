"""Sources of the partner's key and secret: mounted files, or values given at start.

A mounted Kubernetes Secret is a directory whose `..data` links to a directory with the current version. The link is
replaced in one step, then the old version is deleted. We read through one open directory and then check that it is
still the current one, so two versions are never mixed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from sidecar.core.errors import CredentialsError
from sidecar.core.model import Credentials, Secret
from sidecar.secret_file import (
    FileStamp,
    NoSecretFileError,
    SecretFileError,
    read_secret,
    secret_problem,
    stamp_of,
)

_FILES = ("api-key", "api-secret", "signing-key")
_ATTEMPTS = 100

_Fingerprint: TypeAlias = tuple[FileStamp | None, ...]


class StaticCredentials:
    """`core.ports.CredentialsSource` of credentials that never change.

    Raises `CredentialsError` for credentials that cannot be sent.
    """

    def __init__(self, credentials: Credentials) -> None:
        for name, secret in (("api-key", credentials.api_key), ("api-secret", credentials.api_secret)):
            if problem := secret_problem(secret.reveal()):
                raise CredentialsError(f"{name}: {problem}")
        _check_key(credentials.api_key.reveal())
        self._credentials = credentials

    def read(self) -> Credentials:
        return self._credentials


class DirectoryCredentials:
    """`core.ports.CredentialsSource` over a directory with `api-key`, `api-secret` and optionally `signing-key`.

    Reads as `read_secret` does. In a plain directory, without `..data`, a change during the reading is detected by the
    files' times.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Credentials:
        """Return the current credentials. Raises `CredentialsError` with the file and the problem, not the content."""
        for _ in range(_ATTEMPTS):
            outcome = self._read_once()
            if isinstance(outcome, CredentialsError):
                raise outcome
            if outcome is not None:
                return outcome
        raise CredentialsError(f"{self._path}: changed during each of {_ATTEMPTS} readings")

    def _read_once(self) -> Credentials | CredentialsError | None:
        """Return the credentials in the directory, or their problem; None if the directory changed meanwhile."""
        try:
            with _opened(self._data_path()) as directory:
                before = _fingerprint(directory)
                outcome = self._outcome(directory)
                unchanged = _fingerprint(directory) == before and self._is_current(directory)
        except OSError as error:
            # When a version was deleted between two steps, its link exists only for a short time.
            vanished = isinstance(error, FileNotFoundError) and os.path.lexists(self._data_path())
            return None if vanished else CredentialsError(f"{self._path}: {error.strerror}")
        return outcome if unchanged else None

    def _outcome(self, directory: int) -> Credentials | CredentialsError:
        try:
            return _read_credentials(directory)
        except CredentialsError as error:
            return CredentialsError(*(f"{self._path}/{problem}" for problem in error.problems))

    def _data_path(self) -> Path:
        versions = self._path / "..data"
        return versions if os.path.lexists(versions) else self._path

    def _is_current(self, directory: int) -> bool:
        # While we hold it open, no new directory can get its inode number.
        return os.path.samestat(os.fstat(directory), self._data_path().stat())


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield directory
    finally:
        os.close(directory)


def _fingerprint(directory: int) -> _Fingerprint:
    """Return a value that changes when any of the files is written, replaced, added or removed."""
    return tuple(_file_state(name, directory) for name in _FILES)


def _file_state(name: str, directory: int) -> FileStamp | None:
    try:
        return stamp_of(os.stat(name, dir_fd=directory))
    except FileNotFoundError:
        return None


def _read_credentials(directory: int) -> Credentials:
    """Read the files. Raises `CredentialsError` with every problem; each names the file."""
    found: dict[str, Secret] = {}
    problems: list[str] = []
    for name in _FILES:
        try:
            text = _read_text(name, directory)
        except CredentialsError as error:
            problems += error.problems
            continue
        if text is not None:
            found[name] = Secret(text)
        elif name != "signing-key":
            problems.append(f"{name}: no such file")
    if problems:
        raise CredentialsError(*problems)
    return Credentials(api_key=found["api-key"], api_secret=found["api-secret"], signing_key=found.get("signing-key"))


def _read_text(name: str, directory: int) -> str | None:
    """Return the text of one file, or None when there is no such file. Raises `CredentialsError`."""
    try:
        text = read_secret(name, directory=directory)
    except NoSecretFileError:
        return None
    except SecretFileError as error:
        raise CredentialsError(f"{name}: {error}") from None
    if name == "api-key":
        _check_key(text)
    return text


def _check_key(text: str) -> None:
    """Raise `CredentialsError` for a key that Basic authentication cannot carry (RFC 7617 section 2)."""
    if ":" in text:
        raise CredentialsError("api-key: has a colon, which would end it early")
