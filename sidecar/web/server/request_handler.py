"""aiohttp's request handler behind an `HttpConnection`, which passes it the bytes and writes its output.

Its error responses and logs are replaced, because they repeat the request: stock aiohttp copies a malformed header into
the response and into its log. An `Authorization` header with a control character would be in both, before any handler
of ours has run.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any

from aiohttp import StreamReader
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

from sidecar.core.events import InternalFailure
from sidecar.core.model import Seconds
from sidecar.core.ports import EventSink
from sidecar.core.process_events import MalformedRequest
from sidecar.core.safe_traceback import safe_traceback
from sidecar.web.responses import Response, problem
from sidecar.web.server.socket_protocol import LINGER_S

if TYPE_CHECKING:
    from sidecar.web.server.protocol import HttpConnection

UNREADABLE = (
    "The request is not valid HTTP/1.0 or 1.1. It needs exactly one Host header, a method in capitals "
    "and at most 126 header lines."
)
HEAD_TOO_LARGE = "The request line and headers, with empty lines before them, are longer than SIDECAR_MAX_HEADER_BYTES."
OVERLOADED = problem(
    "overloaded",
    "The sidecar is at its connection limit (SIDECAR_MAX_CONNECTIONS, or its limit of open files).",
    retry_after_s=1,
)
_NEVER_S: Seconds = 1e9
"""Idle connections are ended by their `HttpConnection`: aiohttp does not see requests that the fast path answers."""
_BODY_BUFFER_BYTES = 64 * 1024


class HandlerTransport(asyncio.Transport):
    """The transport of a request handler: passes every call on to the connection."""

    def __init__(self, connection: HttpConnection) -> None:
        super().__init__()
        self._connection = connection

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self._connection.write(data)

    def is_closing(self) -> bool:
        return self._connection.is_closing

    def close(self) -> None:
        self._connection.close()

    def abort(self) -> None:
        self._connection.abort()

    def pause_reading(self) -> None:
        self._connection.pause_reading("body")

    def resume_reading(self) -> None:
        self._connection.resume_reading("body")

    def get_extra_info(self, name: str, default: Any = None) -> Any:  # noqa: ANN401 - asyncio's own
        transport = self._connection.transport
        return default if transport is None else transport.get_extra_info(name, default)


class ConnectionHandler(RequestHandler):
    """Returns constant texts for malformed requests and for bugs, and emits an event for both."""

    __slots__ = ("_sink", "connection")

    def __init__(
        self,
        server: Server,
        connection: HttpConnection,
        sink: EventSink,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        limits = connection.limits
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # documented: no access log
            keepalive_timeout=_NEVER_S,
            tcp_keepalive=True,
            lingering_time=LINGER_S,
            read_bufsize=_BODY_BUFFER_BYTES,
            max_line_size=limits.max_header_bytes,
            max_field_size=limits.max_header_bytes,
            auto_decompress=False,
        )
        self.connection = connection
        self._sink = sink

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature; holds what the caller sent
    ) -> StreamResponse:
        """Answer with a problem document that quotes nothing of the request, and close.

        Raises `ConnectionError` when the client has disconnected, or a part of the response is already sent: the
        connection cannot be used any more.
        """
        if isinstance(exc, ConnectionError):
            raise exc
        if status < 500:
            response = malformed(self._sink, status, exc)
        else:
            self._report(exc)
            response = problem("internal-error", "Internal error. See the sidecar log.")
        if request.writer.output_size > 0:
            raise ConnectionError("a response was already begun")
        self.connection.write_last(response)
        return WRITTEN_LAST

    def log_exception(self, *args: object, **kwargs: object) -> None:  # noqa: ARG002 - texts may hold a secret
        exc = sys.exc_info()[1]
        if isinstance(exc, RequestPayloadError | HttpProcessingError):
            # The body was malformed after its request was answered: an error of the caller, no bug of ours.
            exc.__traceback__ = None
            self._sink.emit(MalformedRequest(status=400, cause=type(exc).__name__))
        else:
            self._report(exc)

    def log_debug(self, *args: object, **kwargs: object) -> None:
        """Do nothing: aiohttp's method formats requests."""

    def _report(self, exc: BaseException | None) -> None:
        self._sink.emit(InternalFailure(where="web", trace=safe_traceback(exc or sys.exc_info()[1])))


class HttpRequest(BaseRequest):
    """A request with the connection on which it was received."""

    def __init__(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: ConnectionHandler,
        *rest: Any,  # noqa: ANN401 - aiohttp's own
        **named: Any,  # noqa: ANN401 - aiohttp's own
    ) -> None:
        super().__init__(message, payload, protocol, *rest, **named)
        self.connection = protocol.connection


class _Written(StreamResponse):
    """A response that the connection has already written; aiohttp reads from it only whether the connection ends."""

    def __init__(self, *, keeps: bool) -> None:
        super().__init__()
        self._keeps = keeps

    @property
    def keep_alive(self) -> bool:
        return self._keeps

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:  # noqa: ARG002 - aiohttp's own
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: everything is written."""


WRITTEN, WRITTEN_LAST = _Written(keeps=True), _Written(keeps=False)


def malformed(sink: EventSink, status: int, exc: BaseException | None) -> Response:
    """Return the response for bytes that are not a valid request, and emit an event to `sink`."""
    sink.emit(MalformedRequest(status=status, cause=type(exc).__name__))
    if exc is not None:
        # The traceback refers to frames that hold the error itself and the request's bytes.
        exc.__traceback__ = None
    return problem("bad-request", HEAD_TOO_LARGE if status == 431 else UNREADABLE, status=status)
