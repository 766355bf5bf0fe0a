"""The session of partner calls: connections, look-ups, proxies, trusted certificates, and the kinds of its errors."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Literal

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.client_proto import ResponseHandler
from aiohttp.http import HttpProcessingError

from sidecar import __version__
from sidecar.core.errors import FailureKind
from sidecar.core.model import Seconds
from sidecar.core.ports import EventSink
from sidecar.core.process_events import PartnerCertificatesChanged, PartnerCertificatesUnreadable
from sidecar.core.proxies import proxy_of
from sidecar.file_operations import BackgroundReading, FileOperationError, FileOperations, FileStalls, read_in_time
from sidecar.resolver import Resolver
from sidecar.trusted_certificates import TrustedCertificates, Version, words_for

MAX_RESPONSE_BYTES = 128 * 1024
"""Includes head, interim responses and framing: twice the longest body that is read."""
FALLBACK_AFTER_S: Seconds = 0.5
"""How long a look-up may delay a call when an earlier result is stored."""
CERTIFICATES_WAIT_S: Seconds = 1
"""How long a call waits for a check of the certificate files. After that it uses the last result."""


def open_session(resolver: Resolver | None = None) -> aiohttp.ClientSession:
    """Return a session for `PartnerClient`s; the caller closes it. Needs a running event loop.

    No cookies, no decompression (`read_document` does it, within limits), one connection per call. With one call in
    minutes a kept connection saves nothing, may be closed when it is needed, and may have been made with certificates
    that have changed since.
    """
    return aiohttp.ClientSession(
        connector=_BoundedConnector(PartnerResolver(resolver or Resolver(FALLBACK_AFTER_S))),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        headers={"User-Agent": f"token-sidecar/{__version__}", "Accept-Encoding": "identity"},
        # aiohttp's own reading of the environment includes ~/.netrc, whose entry for the partner's host would break
        # every grant and put an Authorization header on refreshes. See `proxy_for`.
        trust_env=False,
        # PartnerClient limits the whole call exactly; aiohttp would round up to whole seconds.
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
    )


def proxy_for(url: str) -> str | None:
    """Return the proxy for `url` (`HTTPS_PROXY`, `HTTP_PROXY`, `NO_PROXY`), or None; always None for loopback.

    The URL may contain the proxy's user name and password.
    """
    proxy = proxy_of(url, os.environ)
    return None if proxy is None else proxy.url


class _BoundedConnector(aiohttp.TCPConnector):
    """Opens connections that serve one call each and limit the bytes received to those of one response.

    aiohttp limits lines, headers and how far a body is read ahead. It has no limit for discarded data: endless interim
    responses (1xx), which took a hundred megabytes and stopped the event loop for a second, chunk sizes and extensions,
    and empty lines. So all received bytes are counted here.
    """

    def __init__(self, resolver: AbstractResolver) -> None:
        # The resolver stores results already.
        super().__init__(limit=16, resolver=resolver, use_dns_cache=False, force_close=True)
        # aiohttp has no public way to choose the protocol of a connection; a test checks that this still works.
        kind: type[ResponseHandler] = _BoundedHandler
        self._factory = partial(kind, loop=asyncio.get_running_loop())


class _BoundedHandler(ResponseHandler):
    """Aborts the connection after more bytes than a response may have."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._left_bytes = MAX_RESPONSE_BYTES

    def data_received(self, data: bytes) -> None:
        allowed, self._left_bytes = self._left_bytes, self._left_bytes - len(data)
        # The bytes within the limit may contain the head of a response that is too long: it gives the kind of failure.
        if allowed > 0:
            super().data_received(data[:allowed])
        transport = self.transport
        if self._left_bytes < 0 and transport is not None:
            self._fail()
            transport.abort()

    def _fail(self) -> None:
        failure = aiohttp.ClientPayloadError("more bytes than a response may have")
        if self._payload is not None:
            self._payload.set_exception(failure)
        self.set_exception(failure)


class PartnerResolver(AbstractResolver):
    """Resolves for aiohttp, which tries the addresses as in RFC 8305. Its own resolver uses the loop's threads."""

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return addresses of all families; aiohttp filters them. Raises `OSError`."""
        return [
            ResolveResult(hostname=host, host=address, port=port, family=family, proto=0, flags=socket.AI_NUMERICHOST)
            for address in await self._resolver.resolve(host)
        ]

    async def close(self) -> None:
        """Do nothing: look-ups end on their own, and nothing waits for them."""


@dataclass(frozen=True, slots=True)
class _Trust:
    """`context` is a value for aiohttp's `ssl`. True: aiohttp's own context, made of the files at its import."""

    context: ssl.SSLContext | Literal[True]
    problem: str = ""
    """Why the current files are not used."""


class PartnerCertificates:
    """Returns the TLS context of the current files for each partner call."""

    def __init__(self, sink: EventSink, stalls: FileStalls) -> None:
        """Blocks for a check of the files, for at most `STALLED_AFTER_S`. Raises `FileOperationError`."""
        self._sink = sink
        self._trusted = TrustedCertificates(os.environ)
        self._trust = _Trust(True)
        self._in_use: ssl.SSLContext | Literal[True] | None = None if self._trusted.folders else True
        """The context at the latest event; None before the first reading, if that makes its own context."""
        operations = FileOperations("partner-certificates", stalls)
        self._reading = BackgroundReading(self._read, operations, on_end=self._tell)
        # aiohttp has loaded these, and loading them again would double the memory. But for a folder it makes OpenSSL
        # read the needed files in each handshake, on the event loop.
        self._version: Version | None = None if self._trusted.folders else read_in_time(self._trusted.version)

    async def context(self) -> ssl.SSLContext | Literal[True]:
        """Return the value for aiohttp's `ssl`."""
        try:
            return (await self._reading.read(CERTIFICATES_WAIT_S)).context
        except FileOperationError:
            return self._trust.context

    def _read(self) -> _Trust:
        """Runs in a thread. Keeps the previous context when the files cannot be used."""
        version = self._trusted.version()
        if version != self._version:
            self._version = version
            try:
                self._trust = _Trust(self._trusted.load())
            except OSError as error:
                self._trust = _Trust(self._trust.context, f"{self._trusted.place}: {words_for(error)}")
        return self._trust

    def _tell(self, changed: bool) -> None:
        if not changed:
            return
        trust = self._trust
        if trust.problem:
            self._sink.emit(PartnerCertificatesUnreadable(problem=trust.problem))
        elif self._in_use not in (None, trust.context):
            self._sink.emit(PartnerCertificatesChanged())
        self._in_use = trust.context


# Other classes have the kind of their nearest base here. A test lists each client error of aiohttp with its kind.
_KINDS: Mapping[type[BaseException], FailureKind] = {
    TimeoutError: FailureKind.TIMEOUT,
    aiohttp.ServerTimeoutError: FailureKind.TIMEOUT,
    OSError: FailureKind.CONNECT,
    aiohttp.ClientError: FailureKind.CONNECT,
    # When a proxy rejects the connection, the partner cannot be reached.
    aiohttp.ClientHttpProxyError: FailureKind.CONNECT,
    # The partner responded, but not in HTTP, or with less data than announced.
    HttpProcessingError: FailureKind.MALFORMED,
    aiohttp.ClientResponseError: FailureKind.MALFORMED,
    aiohttp.ClientPayloadError: FailureKind.MALFORMED,
    # The address is invalid: a person has to correct the configuration.
    ValueError: FailureKind.BAD_REQUEST,
    aiohttp.InvalidURL: FailureKind.BAD_REQUEST,
    aiohttp.NonHttpUrlClientError: FailureKind.BAD_REQUEST,
    # The partner sent the invalid address.
    aiohttp.RedirectClientError: FailureKind.MALFORMED,
    aiohttp.InvalidUrlRedirectClientError: FailureKind.MALFORMED,
    aiohttp.NonHttpUrlRedirectClientError: FailureKind.MALFORMED,
}

TRANSPORT_ERRORS = (aiohttp.ClientError, HttpProcessingError, OSError, ValueError)
"""The errors of a call before its response is complete, including `TimeoutError` (an `OSError`)."""


def kind_of_error(error: BaseException) -> FailureKind:
    """Return the failure for an exception, by its class or the nearest base in `_KINDS`."""
    return next((_KINDS[base] for base in type(error).__mro__ if base in _KINDS), FailureKind.CONNECT)
