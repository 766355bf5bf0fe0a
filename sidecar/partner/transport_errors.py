"""Maps the errors that aiohttp raises for a missing or incomplete response to kinds of failure."""

from __future__ import annotations

from collections.abc import Mapping

import aiohttp
from aiohttp.client_exceptions import UnixClientConnectorError
from aiohttp.http import HttpProcessingError

from sidecar.core.failures import FailureKind

# Every client error class of aiohttp is listed here by name, so that a test detects when the library adds one.
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
    # When a proxy rejects the connection, the partner cannot be reached.
    aiohttp.ClientHttpProxyError: FailureKind.CONNECT,
    # The partner responded, but not in HTTP, or with less data than announced.
    HttpProcessingError: FailureKind.MALFORMED,
    aiohttp.ClientResponseError: FailureKind.MALFORMED,
    aiohttp.ContentTypeError: FailureKind.MALFORMED,
    aiohttp.WSServerHandshakeError: FailureKind.MALFORMED,
    aiohttp.ClientPayloadError: FailureKind.MALFORMED,
    aiohttp.TooManyRedirects: FailureKind.MALFORMED,
    # The address is invalid: a person has to correct the configuration.
    ValueError: FailureKind.BAD_REQUEST,
    aiohttp.InvalidURL: FailureKind.BAD_REQUEST,
    aiohttp.InvalidUrlClientError: FailureKind.BAD_REQUEST,
    aiohttp.NonHttpUrlClientError: FailureKind.BAD_REQUEST,
    aiohttp.RedirectClientError: FailureKind.MALFORMED,
    aiohttp.InvalidUrlRedirectClientError: FailureKind.MALFORMED,
    aiohttp.NonHttpUrlRedirectClientError: FailureKind.MALFORMED,
}

TRANSPORT_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
"""The errors of a call before its response is complete, including `TimeoutError` (an `OSError`)."""


def kind_of_error(error: BaseException) -> FailureKind:
    """Return the failure for an exception, by its class or the nearest base in `KINDS`."""
    return next((KINDS[base] for base in type(error).__mro__ if base in KINDS), FailureKind.CONNECT)
