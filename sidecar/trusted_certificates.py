"""The certificates that TLS clients trust by default: the system's, or those in `SSL_CERT_FILE` and `SSL_CERT_DIR`.

https://docs.openssl.org/3.0/man3/SSL_CTX_load_verify_locations/#environment
"""

from __future__ import annotations

import os
import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

from sidecar.secret_file import FileStamp, SecretFileError, file_stamp, read_certificates

FILE_VARIABLE, FOLDER_VARIABLE = "SSL_CERT_FILE", "SSL_CERT_DIR"
Version: TypeAlias = tuple[tuple[Path, FileStamp | None], ...]

_HASHED_NAME = re.compile(r"[0-9a-f]{8}\.[0-9]+")
"""The names that OpenSSL looks for in a folder; `openssl rehash` makes such links."""


class UnreadableError(OSError):
    """One of the files cannot be read."""


class TrustedCertificates:
    """Only `version` and `load` block for files."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._named_file = environ.get(FILE_VARIABLE, "")
        folders = environ.get(FOLDER_VARIABLE, "")
        self.folders = tuple(Path(folder) for folder in folders.split(os.pathsep) if folder)
        """The folders that the environment names; empty when the system's folder is used."""

    @property
    def are_named(self) -> bool:
        """Whether the environment names a file or folders."""
        return bool(self._named_file or self.folders)

    @property
    def place(self) -> str:
        """The file and the folders, with the variables that name them."""
        file = f"{FILE_VARIABLE}: {self._named_file}" if self._named_file else ""
        folders = f"{FOLDER_VARIABLE}: {os.pathsep.join(map(str, self.folders))}" if self.folders else ""
        return ", ".join(filter(None, (file, folders))) or "the system's trusted certificates"

    def version(self) -> Version:
        """Return a value that changes when a file is written, replaced, added or removed."""
        return tuple((path, file_stamp(path)) for path in (self._file(), *self._hashed()))

    def load(self) -> ssl.SSLContext:
        """Return a context that trusts the current certificates. Raises `OSError`."""
        file = self._file()
        files = [file] if self._named_file or file.exists() else []
        if not files and not self.folders:
            return ssl.create_default_context()
        try:
            # A FIFO or a device cannot block this reader.
            contents = [read_certificates(path) for path in (*files, *self._hashed())]
        except SecretFileError as error:
            raise UnreadableError(str(error)) from None
        # Comments in the files may be in any language.
        text = b"\n".join(contents).decode("ascii", "ignore")
        if not text.strip():
            raise UnreadableError("no certificate in it")
        context = ssl.create_default_context(cadata=text)
        default_folder = ssl.get_default_verify_paths().openssl_capath
        if not self.folders and Path(default_folder).is_dir():
            # OpenSSL reads it during handshakes: it is the system's folder, on the same disk as our code.
            context.load_verify_locations(capath=default_folder)
        return context

    def _file(self) -> Path:
        # This call accesses the files, too.
        return Path(self._named_file or ssl.get_default_verify_paths().openssl_cafile)

    def _hashed(self) -> Iterator[Path]:
        """Yield the certificates in the folders. OpenSSL would read them during handshakes, on the event loop."""
        for folder in self.folders:
            if folder.is_dir():
                yield from sorted(path for path in folder.iterdir() if _HASHED_NAME.fullmatch(path.name))


def words_for(error: OSError) -> str:
    """Return why the certificates cannot be used, without their content."""
    if isinstance(error, ssl.SSLError):
        return error.reason or "no certificate in it"
    return error.strerror or str(error)
