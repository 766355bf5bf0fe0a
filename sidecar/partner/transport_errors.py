"""What aiohttp raises when no answer came, or only half of one, and which failure each means."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError
from aiohttp.http import HttpProcessingError

from sidecar.core.failures import FailureKind

# Every class of aiohttp's client tree stands here by name, so that a test sees when the library grows another.
KINDS: Mapping[type[BaseException], FailureKind] = {
    TimeoutError: FailureKind.TIMEOUT,
    aiohttp.ServerTimeoutError: FailureKind.TIMEOUT,
    aiohttp.ConnectionTimeoutError: FailureKind.TIMEOUT,
    aiohttp.SocketTimeoutError: FailureKind.TIMEOUT,
    OSError: FailureKind.CONNECT,
    aiohttp.ClientError: FailureKind.CONNECT,
    aiohttp.ClientConnectionError: FailureKind.CONNECT,
    aiohttp.ClientConnectionResetError: FailureKind.CONNECT,
    aiohttp.ClientOSError: FailureKind.CONNECT,
    aiohttp.ClientConnectorError: FailureKind.CONNECT,
    aiohttp.ClientConnectorDNSError: FailureKind.CONNECT,
    aiohttp.ClientProxyConnectionError: FailureKind.CONNECT,
    UnixClientConnectorError: FailureKind.CONNECT,
    aiohttp.ClientSSLError: FailureKind.CONNECT,
    aiohttp.ClientConnectorSSLError: FailureKind.CONNECT,
    aiohttp.ClientConnectorCertificateError: FailureKind.CONNECT,
    aiohttp.ServerConnectionError: FailureKind.CONNECT,
    aiohttp.ServerDisconnectedError: FailureKind.CONNECT,
    aiohttp.ServerFingerprintMismatch: FailureKind.CONNECT,
    aiohttp.UploadAbortedError: FailureKind.CONNECT,
    # A proxy that does not let us through is a way to the partner that is closed.
    aiohttp.ClientHttpProxyError: FailureKind.CONNECT,
    # The partner answered, but not in HTTP, or less than it announced.
    HttpProcessingError: FailureKind.MALFORMED,
    aiohttp.ClientResponseError: FailureKind.MALFORMED,
    aiohttp.ContentTypeError: FailureKind.MALFORMED,
    aiohttp.WSServerHandshakeError: FailureKind.MALFORMED,
    aiohttp.ClientPayloadError: FailureKind.MALFORMED,
    aiohttp.TooManyRedirects: FailureKind.MALFORMED,
    # The address itself cannot be called: a person has to mend the configuration.
    ValueError: FailureKind.BAD_REQUEST,
    aiohttp.InvalidURL: FailureKind.BAD_REQUEST,
    aiohttp.InvalidUrlClientError: FailureKind.BAD_REQUEST,
    aiohttp.NonHttpUrlClientError: FailureKind.BAD_REQUEST,
    aiohttp.RedirectClientError: FailureKind.MALFORMED,
    aiohttp.InvalidUrlRedirectClientError: FailureKind.MALFORMED,
    aiohttp.NonHttpUrlRedirectClientError: FailureKind.MALFORMED,
}

TRANSPORT_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
"""All that a call can raise before its answer is complete, `TimeoutError` (an `OSError`) among it."""


def kind_of_error(error: BaseException) -> FailureKind:
    """The failure an exception means, by its class or the nearest base that is known."""
    return next((KINDS[base] for base in type(error).__mro__ if base in KINDS), FailureKind.CONNECT)
