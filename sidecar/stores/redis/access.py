"""The logins and TLS certificates of a Redis store. Files may be rotated, so new connections read them again."""

from __future__ import annotations

import os
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeAlias

from redis.credentials import CredentialProvider
from redis.exceptions import ConnectionError as RedisConnectionError

from sidecar.core.model import Seconds, Secret
from sidecar.core.store_url import RedisUrl
from sidecar.file_operations import BackgroundReading, FileOperationError, FileOperations, FileStalls
from sidecar.secret_file import FileStamp, SecretFileError, read_secret, stamp_of
from sidecar.trusted_certificates import TrustedCertificates, Version

_Version: TypeAlias = tuple[Version | tuple[()], tuple[FileStamp, ...]]

OPTIONAL_WAIT = 1 / 3
"""Share of its time limit that an operation waits for something optional, such as a newer version of a file."""


class CertificatesHangError(OSError):
    """The files have not been read yet, and their file system hangs."""


class Certificates:
    """Makes the TLS context of each new connection; a renewed certificate is used from the next connection on."""

    def __init__(self, url: RedisUrl, operations: FileOperations, wait_s: Seconds) -> None:
        """A connection waits at most `wait_s` for the files if there is an earlier context."""
        self._url = url
        self._wait_s = wait_s
        self._default = TrustedCertificates(os.environ)
        self._files = tuple(path for path in (url.ca_file, url.certificate_file, url.key_file) if path is not None)
        self._version: _Version | None = None
        self._context: ssl.SSLContext | None = None
        self._reading = BackgroundReading(self._read, operations)

    async def context(self) -> ssl.SSLContext:
        """Return a context for the current files; while reading them hangs, the previous context.

        It verifies the server's host name, and its certificate with the given CA or the system's. Raises `OSError`.
        """
        try:
            return await self._reading.read(self._wait_s)
        except FileOperationError as error:
            raise CertificatesHangError(str(error)) from None

    def _read(self) -> ssl.SSLContext:
        """Runs in a thread. Raises `OSError`."""
        version = self._read_version()
        if self._context is None or version != self._version:
            # A new context: connections that are being opened keep theirs unchanged.
            self._context, self._version = self._load(), version
        return self._context

    def _load(self) -> ssl.SSLContext:
        ca_file = self._url.ca_file
        context = self._load_default() if ca_file is None else ssl.create_default_context(cafile=ca_file)
        if self._url.certificate_file is not None:
            # An empty pass phrase: otherwise OpenSSL asks on the terminal for the pass phrase of an encrypted key.
            context.load_cert_chain(self._url.certificate_file, self._url.key_file, password="")
        return context

    def _load_default(self) -> ssl.SSLContext:
        try:
            return self._default.load()
        except OSError:
            # A file that the environment names cannot be read. OpenSSL skips it and trusts the other certificates.
            return ssl.create_default_context()

    def _read_version(self) -> _Version:
        """Return a version of the files: cheaper than loading the system's certificates for each connection."""
        default = self._default.version() if self._url.ca_file is None else ()
        return default, tuple(stamp_of(path.stat()) for path in self._files)


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
        self._reading = BackgroundReading(lambda: Secret(read_secret(path)), operations)

    async def prepare(self) -> None:
        """Read the file. While reading hangs, the previous password stays in use."""
        with self._errors_named():
            await self._reading.read(self._wait_s)

    def _current(self) -> Secret:
        with self._errors_named():
            return self._reading.latest()

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        try:
            yield
        except (FileOperationError, SecretFileError) as error:
            raise PasswordFileError(f"{self._path}: {error}") from None


class Access:
    """`server` and `sentinel` are logins, None where none is required; `certificates` is None without TLS.

    The sentinels have users of their own.
    """

    def __init__(self, url: RedisUrl, stalls: FileStalls, timeout_s: Seconds) -> None:
        """`timeout_s` limits one connection, its files included."""
        self._stalls = stalls
        self._wait_s = timeout_s * OPTIONAL_WAIT
        self.server = self._login(url.username, url.password, url.password_file)
        self.sentinel = self._login(url.sentinel_username, None, url.sentinel_password_file)
        operations = FileOperations("store-certificates", stalls)
        self.certificates = Certificates(url, operations, self._wait_s) if url.tls else None

    def _login(self, username: Secret | None, password: Secret | None, file: Path | None) -> Login | None:
        name = "" if username is None else username.reveal()
        if file is not None:
            return FileLogin(name, file, FileOperations("store-password", self._stalls), self._wait_s)
        return None if password is None else Login(name, password)
