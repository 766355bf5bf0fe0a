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
    MAX_SECRET_BYTES,
    FileStamp,
    NoSecretFileError,
    SecretFileError,
    read_secret,
    read_text,
    secret_problem,
    stamp_of,
)

_SECRET, _PRIVATE_KEY = "api-secret", "private-key"
_ATTEMPTS = 100

_Fingerprint: TypeAlias = tuple[FileStamp | None, ...]


class StaticCredentials:
    """`core.ports.CredentialsSource` of credentials that never change.

    Raises `CredentialsError` for credentials that cannot be sent.
    """

    def __init__(self, credentials: Credentials, *, key_may_have_colon: bool = False) -> None:
        """`key_may_have_colon`: the key is not the user-id of plain HTTP Basic."""
        for name, secret in (("api-key", credentials.api_key), ("api-secret", credentials.api_secret)):
            if problem := secret_problem(secret.reveal()):
                raise CredentialsError(f"{name}: {problem}")
        if not key_may_have_colon:
            _check_key(credentials.api_key.reveal())
        self._credentials = credentials

    def read(self) -> Credentials:
        return self._credentials


class DirectoryCredentials:
    """`core.ports.CredentialsSource` over a directory with `api-key`, `api-secret` and optionally `signing-key`.

    `by_private_key`: a file `private-key` (PEM) stands in for `api-secret`. `key_may_have_colon`: the key is not the
    user-id of plain HTTP Basic.

    Reads as `read_secret` does. In a plain directory, without `..data`, a change during the reading is detected by the
    files' times.
    """

    def __init__(self, path: Path, *, by_private_key: bool = False, key_may_have_colon: bool = False) -> None:
        self._path = path
        self._key_may_have_colon = key_may_have_colon
        self._secret_file = _PRIVATE_KEY if by_private_key else _SECRET
        self._files = ("api-key", self._secret_file, "signing-key")

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
                before = self._fingerprint(directory)
                outcome = self._outcome(directory)
                unchanged = self._fingerprint(directory) == before and self._is_current(directory)
        except OSError as error:
            # When a version was deleted between two steps, its link exists only for a short time.
            vanished = isinstance(error, FileNotFoundError) and os.path.lexists(self._data_path())
            return None if vanished else CredentialsError(f"{self._path}: {error.strerror}")
        return outcome if unchanged else None

    def _outcome(self, directory: int) -> Credentials | CredentialsError:
        try:
            return self._read_credentials(directory)
        except CredentialsError as error:
            return CredentialsError(*(f"{self._path}/{problem}" for problem in error.problems))

    def _data_path(self) -> Path:
        versions = self._path / "..data"
        return versions if os.path.lexists(versions) else self._path

    def _is_current(self, directory: int) -> bool:
        # While we hold it open, no new directory can get its inode number.
        return os.path.samestat(os.fstat(directory), self._data_path().stat())

    def _fingerprint(self, directory: int) -> _Fingerprint:
        """Return a value that changes when any of the files is written, replaced, added or removed."""
        return tuple(_file_state(name, directory) for name in self._files)

    def _read_credentials(self, directory: int) -> Credentials:
        """Read the files. Raises `CredentialsError` with every problem; each names the file."""
        found: dict[str, Secret] = {}
        problems: list[str] = []
        for name in self._files:
            try:
                text = _read_text(name, directory)
                if name == "api-key" and text is not None and not self._key_may_have_colon:
                    _check_key(text)
            except CredentialsError as error:
                problems += error.problems
                continue
            if text is not None:
                found[name] = Secret(text)
            elif name != "signing-key":
                problems.append(f"{name}: no such file")
        if problems:
            raise CredentialsError(*problems)
        return Credentials(
            api_key=found["api-key"], api_secret=found[self._secret_file], signing_key=found.get("signing-key")
        )


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield directory
    finally:
        os.close(directory)


def _file_state(name: str, directory: int) -> FileStamp | None:
    try:
        return stamp_of(os.stat(name, dir_fd=directory))
    except FileNotFoundError:
        return None


def _read_text(name: str, directory: int) -> str | None:
    """Return the text of one file, or None when there is no such file. Raises `CredentialsError`."""
    try:
        return _read_private_key(name, directory) if name == _PRIVATE_KEY else read_secret(name, directory=directory)
    except NoSecretFileError:
        return None
    except SecretFileError as error:
        raise CredentialsError(f"{name}: {error}") from None


def _check_key(text: str) -> None:
    """Raise `CredentialsError` for a key that Basic authentication cannot carry (RFC 7617 section 2)."""
    if ":" in text:
        raise CredentialsError("api-key: has a colon, which would end it early")


def _read_private_key(name: str, directory: int) -> str:
    """Return the PEM text of a private key that can sign. Raises `SecretFileError`."""
    text = read_text(name, MAX_SECRET_BYTES, directory=directory).strip()
    # Imported here: other clients need no cryptography.
    from sidecar.credentials.private_key import checked_key

    try:
        checked_key(text)
    except ValueError as error:
        raise SecretFileError(str(error)) from None
    return text
