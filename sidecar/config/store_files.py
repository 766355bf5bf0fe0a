"""Checks the files that a store's URL names, once at the start: a file that is wrong then was never valid."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from sidecar.config import schema
from sidecar.config.findings import Findings
from sidecar.config.values import Values
from sidecar.core.redis_url import RedisUrl
from sidecar.core.store_url import is_redis_url, parse_redis_url
from sidecar.file_operations import FileOperationError, read_in_time
from sidecar.secret_file import SecretFileError, read_bytes, read_secret

_MAX_CERTIFICATES_BYTES = 4 * 1024 * 1024
"""Many times the size of a bundle of all public CAs."""


def judge_store_files(values: Values, findings: Findings) -> None:
    """Report every file that is missing, empty or invalid. After the start, a rotation may cause that for a time."""
    text, origin = values[schema.STORE].reveal(), values.origin(schema.STORE)
    if not is_redis_url(text):
        return
    url = parse_redis_url(text)
    unreadable = set()
    for option, path, read in _files(url):
        try:
            read_in_time(partial(read, path))
        except (SecretFileError, FileOperationError) as error:
            findings.problem(f"{origin}: {option} {path}: {error}")
            unreadable.add(path)
    for option, paths, load in _loads(url):
        if unreadable.intersection(paths):
            continue
        try:
            read_in_time(load)
        except FileOperationError as error:
            findings.problem(f"{origin}: {option}: {error}")
        except ssl.SSLError as error:
            # OpenSSL's name for the error, and no content of the file.
            findings.problem(f"{origin}: {option} cannot be used ({error.reason or 'no certificate in it'})")
        except OSError:
            findings.problem(f"{origin}: {option} cannot be read")


def _files(url: RedisUrl) -> Iterator[tuple[str, Path, Callable[[Path], object]]]:
    """Yield each option, its file and its reader. OpenSSL itself would block on a FIFO, and read a device endlessly."""
    passwords = {"password_file": url.password_file, "sentinel_password_file": url.sentinel_password_file}
    certificates = {"ssl_ca_certs": url.ca_file, "ssl_certfile": url.certificate_file, "ssl_keyfile": url.key_file}
    yield from ((option, path, read_secret) for option, path in passwords.items() if path is not None)
    yield from ((option, path, _read_certificates) for option, path in certificates.items() if path is not None)


def _read_certificates(path: Path) -> bytes:
    return read_bytes(path, _MAX_CERTIFICATES_BYTES)


def _loads(url: RedisUrl) -> Iterator[tuple[str, tuple[Path | None, ...], Callable[[], object]]]:
    ca, certificate, key = url.ca_file, url.certificate_file, url.key_file
    if ca is not None:
        yield f"ssl_ca_certs {ca}", (ca,), lambda: ssl.create_default_context(cafile=ca)
    if certificate is not None:
        # An empty pass phrase: for an encrypted key OpenSSL would otherwise prompt on the terminal.
        yield (
            f"ssl_certfile {certificate} with ssl_keyfile {key}",
            (certificate, key),
            lambda: ssl.create_default_context().load_cert_chain(certificate, key, password=""),
        )
