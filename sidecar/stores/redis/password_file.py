"""Who we say we are to Redis: the URL's password, or that of a file which may rotate."""

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
    """A user's name and a password that stays as it is."""

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
        # Without an await inside: a cancellation here would leave a connection open that never said who it is.
        return self.get_credentials()

    def _current(self) -> Secret:
        return self._password


class FileLogin(Login):
    """A password in a file. It is read before each new connection, so one that rotated counts from the next one on."""

    def __init__(self, username: str, path: Path, operations: FileOperations, wait_s: Seconds) -> None:
        """A connection waits for `wait_s` for the file, where there is a password of before."""
        super().__init__(username, Secret(""))
        self._path = path
        self._wait_s = wait_s
        self._reading = BackgroundReading(lambda: read_password(path), operations)

    async def prepare(self) -> None:
        """Read the file. While it hangs, the password of before stays in use."""
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
