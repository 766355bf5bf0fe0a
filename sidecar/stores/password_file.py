"""Who we say we are to Redis: the URL's password, or that of a file which may rotate."""

from __future__ import annotations

from pathlib import Path

from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from sidecar.core.model import Secret
from sidecar.core.redis_url import RedisUrl
from sidecar.secret_file import SecretFileError, read_secret


class PasswordFileError(RedisConnectionError):
    """The password file cannot be used right now."""


class Login(CredentialProvider):
    """Asked by redis-py for every new connection, so that a password that rotated counts from the next one on."""

    def __init__(self, username: str, password: Secret | None, password_file: Path | None) -> None:
        self._username = username
        self._password = password
        self._file = password_file

    def get_credentials(self) -> tuple[str] | tuple[str, str]:
        """Raises `PasswordFileError`."""
        password = read_password(self._file) if self._file is not None else self._password
        text = "" if password is None else password.reveal()
        return (self._username, text) if self._username else (text,)

    async def get_credentials_async(self) -> tuple[str] | tuple[str, str]:
        # Without an await inside: a cancellation here would leave a connection open that never said who it is.
        return self.get_credentials()


def server_login(url: RedisUrl) -> Login | None:
    """For Redis itself; None where nobody has to say anything."""
    return _login(url.username, url.password, url.password_file)


def sentinel_login(url: RedisUrl) -> Login | None:
    """For the sentinels, which have users of their own."""
    return _login(url.sentinel_username, None, url.sentinel_password_file)


def _login(username: str, password: Secret | None, password_file: Path | None) -> Login | None:
    return None if password is None and password_file is None else Login(username, password, password_file)


def read_password(path: Path) -> Secret:
    """Read as `read_secret` does. Raises `PasswordFileError`."""
    try:
        return Secret(read_secret(path))
    except SecretFileError as error:
        raise PasswordFileError(f"{path}: {error}") from None
