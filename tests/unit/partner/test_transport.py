"""Each exception that aiohttp raises has a kind of failure."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator

import aiohttp
import pytest
from aiohttp.http import HttpProcessingError

from sidecar.core.errors import FailureKind
from sidecar.partner.transport import TRANSPORT_ERRORS, kind_of_error

KINDS = {
    FailureKind.TIMEOUT: {"ConnectionTimeoutError", "ServerTimeoutError", "SocketTimeoutError"},
    FailureKind.CONNECT: {
        "ClientConnectionError", "ClientConnectionResetError", "ClientConnectorCertificateError",
        "ClientConnectorDNSError", "ClientConnectorError", "ClientConnectorSSLError", "ClientError",
        "ClientHttpProxyError", "ClientOSError", "ClientProxyConnectionError", "ClientSSLError",
        "ServerConnectionError", "ServerDisconnectedError", "ServerFingerprintMismatch", "UnixClientConnectorError",
        "UploadAbortedError",
    },
    FailureKind.MALFORMED: {
        "ClientPayloadError", "ClientResponseError", "ContentTypeError", "InvalidUrlRedirectClientError",
        "NonHttpUrlRedirectClientError", "RedirectClientError", "TooManyRedirects", "WSServerHandshakeError",
    },
    FailureKind.BAD_REQUEST: {"InvalidURL", "InvalidUrlClientError", "NonHttpUrlClientError"},
}  # fmt: skip


def with_subclasses(base: type[BaseException]) -> Iterator[type[BaseException]]:
    yield base
    for child in base.__subclasses__():
        yield from with_subclasses(child)


def test_every_client_error_of_the_library_has_the_kind_that_was_decided() -> None:
    """If this fails, aiohttp has a new class or other bases: decide on its kind, and list it."""
    found: dict[FailureKind, set[str]] = {}
    for error in with_subclasses(aiohttp.ClientError):
        if error.__module__.startswith("aiohttp."):
            found.setdefault(kind_of_error(error.__new__(error)), set()).add(error.__name__)
    assert found == KINDS


@pytest.mark.parametrize("error", [TimeoutError, OSError, ValueError, aiohttp.ClientError, HttpProcessingError])
def test_every_error_with_a_kind_is_caught(error: type[BaseException]) -> None:
    assert issubclass(error, TRANSPORT_ERRORS)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), FailureKind.TIMEOUT),
        (ConnectionResetError(), FailureKind.CONNECT),
        (socket.gaierror(), FailureKind.CONNECT),
        (ssl.SSLCertVerificationError(), FailureKind.CONNECT),
        (UnicodeError(), FailureKind.BAD_REQUEST),
        (aiohttp.SocketTimeoutError(), FailureKind.TIMEOUT),
        (aiohttp.ServerDisconnectedError(), FailureKind.CONNECT),
        (aiohttp.ClientPayloadError(), FailureKind.MALFORMED),
        (HttpProcessingError(), FailureKind.MALFORMED),
        (KeyError(), FailureKind.CONNECT),
    ],
)
def test_an_error_has_the_kind_of_its_nearest_known_base(error: BaseException, kind: FailureKind) -> None:
    assert kind_of_error(error) is kind
