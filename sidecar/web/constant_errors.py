"""aiohttp's request handler without its own error answers and logs, which repeat what the caller sent.

Stock aiohttp answers a malformed header with that header, in the reply and in its log: a caller's `Authorization` with
a control character in it ends up in both, before any handler of ours has run.
"""

from __future__ import annotations

import sys
from typing import Any

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestHandler, RequestPayloadError
from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

from sidecar.core.events import InternalFailure
from sidecar.core.ports import EventSink
from sidecar.core.request_events import MalformedRequest
from sidecar.core.trace import bare_trace
from sidecar.web.problems import INTERNAL_ERROR, problem

UNREADABLE = (
    "The request could not be parsed as HTTP/1.0 or 1.1 (also: exactly one Host header, a method in capitals, "
    "at most 126 header lines)."
)
HEAD_TOO_LARGE = (
    "The request's line and headers, with the empty lines before them, have more bytes than SIDECAR_MAX_HEADER_BYTES."
)


class ConstantErrors(RequestHandler):
    """Answers constant texts to what it cannot parse and to bugs, and tells `sink` of both."""

    __slots__ = ("_sink",)

    def __init__(self, server: Server, sink: EventSink, **options: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(server, **options)
        self._sink = sink

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature; holds what the caller sent
    ) -> StreamResponse:
        """Say what went wrong without a word of what was sent, and close.

        Raises `ConnectionError` when half an answer is out already: the connection is of no more use.
        """
        if status < 500:
            self._sink.emit(MalformedRequest(status=status, cause=type(exc).__name__))
            if exc is not None:
                # It leads to a frame of aiohttp's that holds the error itself, and what was sent.
                exc.__traceback__ = None
            response = problem("bad-request", HEAD_TOO_LARGE if status == 431 else UNREADABLE, status=status)
        else:
            self._report(exc)
            response = problem(INTERNAL_ERROR, "The sidecar failed on this request; its log says where.")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had been begun")
        response.force_close()
        return response

    def log_exception(self, *args: object, **kwargs: object) -> None:  # noqa: ARG002 - texts may hold a secret
        exc = sys.exc_info()[1]
        if isinstance(exc, RequestPayloadError | HttpProcessingError):
            # A body that went wrong after its request was answered: the caller's fault, not ours.
            exc.__traceback__ = None
            self._sink.emit(MalformedRequest(status=400, cause=type(exc).__name__))
        else:
            self._report(exc)

    def log_debug(self, *args: object, **kwargs: object) -> None:
        """Nothing: the stock one formats requests."""

    def _report(self, exc: BaseException | None) -> None:
        self._sink.emit(InternalFailure(where="web", trace=bare_trace(exc or sys.exc_info()[1])))
