"""TLS towards Redis: whom we trust and who we are, read anew when the files change."""

from __future__ import annotations

import ssl

from sidecar.core.redis_url import RedisUrl
from sidecar.secret_file import FileStamp, stamp_of

_Version = tuple[FileStamp, ...]


class Certificates:
    """Makes the TLS context of each new connection; a certificate that was renewed counts from the next one on."""

    def __init__(self, url: RedisUrl) -> None:
        self._url = url
        self._files = tuple(path for path in (url.ca_file, url.certificate_file, url.key_file) if path is not None)
        self._version: _Version | None = None
        self._context: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """The server's certificate is checked, its name too, by the given CA or the system's. Raises `OSError`."""
        version = self._read_version()
        if self._context is None or version != self._version:
            # In a fresh one: connections that are being made keep theirs whole.
            self._context, self._version = self._load(), version
        return self._context

    def _load(self) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self._url.ca_file)
        if self._url.certificate_file is not None:
            # An empty pass phrase, or OpenSSL would ask the terminal for that of a key that has one.
            context.load_cert_chain(self._url.certificate_file, self._url.key_file, password="")
        return context

    def _read_version(self) -> _Version:
        """Changes whenever a file does: cheaper than loading the system's certificates for each connection."""
        return tuple(stamp_of(path.stat()) for path in self._files)
