"""The files a store's URL names: looked at once at the start, because what is wrong then was never right."""

from __future__ import annotations

import ssl
from collections.abc import Callable

from sidecar.config import table
from sidecar.config.findings import Findings
from sidecar.config.values import Values
from sidecar.core.redis_url import RedisUrl
from sidecar.core.redis_url_text import is_redis_url, parse_redis_url
from sidecar.secret_file import SecretFileError, read_secret


def judge_store_files(values: Values, findings: Findings) -> None:
    """Name every file that is missing, empty, or not what it should hold. Later a rotation may make it so."""
    text, origin = values[table.STORE].reveal(), values.origin(table.STORE)
    if not is_redis_url(text):
        return
    url = parse_redis_url(text)
    for option, path in (("password_file", url.password_file), ("sentinel_password_file", url.sentinel_password_file)):
        if path is None:
            continue
        try:
            read_secret(path)
        except SecretFileError as error:
            findings.problem(f"{origin}: {option} {path}: {error}")
    for option, load in _loads(url):
        try:
            load()
        except ssl.SSLError as error:
            # OpenSSL's name for what is wrong, and nothing of the file.
            findings.problem(f"{origin}: {option} cannot be used ({error.reason or 'no certificate in it'})")
        except (OSError, ValueError):
            # A ValueError is a path that no file can have.
            findings.problem(f"{origin}: {option} cannot be read")


def _loads(url: RedisUrl) -> list[tuple[str, Callable[[], object]]]:
    ca, certificate, key = url.ca_file, url.certificate_file, url.key_file
    loads: list[tuple[str, Callable[[], object]]] = []
    if ca is not None:
        loads.append((f"ssl_ca_certs {ca}", lambda: ssl.create_default_context(cafile=ca)))
    if certificate is not None:
        pair = f"ssl_certfile {certificate} with ssl_keyfile {key}"
        # An empty pass phrase, or OpenSSL would ask the terminal for that of a key that has one.
        loads.append((pair, lambda: ssl.create_default_context().load_cert_chain(certificate, key, password="")))
    return loads
