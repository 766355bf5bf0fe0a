"""The login for Redis: the URL's password, or the password in a file, which may be rotated."""

from __future__ import annotations

from pathlib import Path

from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from sidecar.core.model import Seconds, Secret
from sidecar.file_operations import BackgroundReading, FileOperationError, FileOperations
from sidecar.secret_file import SecretFileError, read_secret


class PasswordFileError(RedisConnectionError):
    """The password file cannot be used right now."""


class Login(CredentialProvider):
    """A user name and a fixed password."""

    def __init__(self, username: str, password: Secret) -> None:
        self._username = username
        self._password = password

    async def prepare(self) -> None:
        """Make ready for a new connection. Raises `PasswordFileError`."""

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Raises `PasswordFileError`."""
        text = self._current().reveal()
        return (self._username, text) if self._username else (text,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        # Contains no await: a cancellation here would leave an unauthenticated connection open.
        return self.get_credentials()

    def _current(self) -> Secret:
        return self._password


class FileLogin(Login):
    """A password in a file, read before each new connection: a rotated password is used from the next one on."""

    def __init__(self, username: str, path: Path, operations: FileOperations, wait_s: Seconds) -> None:
        """A connection waits at most `wait_s` for the file if there is an earlier password."""
        super().__init__(username, Secret(""))
        self._path = path
        self._wait_s = wait_s
        self._reading = BackgroundReading(lambda: read_password(path), operations)

    async def prepare(self) -> None:
        """Read the file. While reading hangs, the previous password stays in use."""
        try:
            await self._reading.read(self._wait_s)
        except FileOperationError as error:
            raise PasswordFileError(f"{self._path}: {error}") from None

    def _current(self) -> Secret:
        try:
            return self._reading.latest()
        except FileOperationError as error:
            raise PasswordFileError(f"{self._path}: {error}") from None


def read_password(path: Path) -> Secret:
    """Read as `read_secret` does. Raises `PasswordFileError`."""
    try:
        return Secret(read_secret(path))
    except SecretFileError as error:
        raise PasswordFileError(f"{path}: {error}") from None
