"""TLS towards Redis: the trusted certificates and the client certificate, read again when the files change."""

from __future__ import annotations

import os
import ssl
from typing import TypeAlias

from sidecar.core.model import Seconds
from sidecar.core.redis_url import RedisUrl
from sidecar.file_operations import BackgroundReading, FileOperationError, FileOperations
from sidecar.secret_file import FileStamp, stamp_of
from sidecar.trusted_certificates import TrustedCertificates, Version

_Version: TypeAlias = tuple[Version | tuple[()], tuple[FileStamp, ...]]


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
