"""The HTTP server without aiohttp's own error answers and logs, which repeat what the caller sent.

Stock aiohttp answers a malformed header with that header, in the reply and in its log: a caller's `Authorization` with
a control character in it ends up in both, before any handler of ours has run.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from sidecar.core.events import InternalFailure, MalformedRequest
from sidecar.core.ports import EventSink
from sidecar.core.trace import bare_trace
from sidecar.web.problems import INTERNAL_ERROR, problem

Handler: TypeAlias = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

KEEPALIVE_S = 75.0
"""Also the longest a connection may take to send its first request."""
UNREADABLE = "The request could not be parsed as HTTP (also: exactly one Host header, header lines up to 8 KiB)."
LINGER_S = 1.0
"""How long the rest of a refused body is read, so that the caller gets to see the refusal."""


class HttpServer(web.Server):
    """Makes one `Connection` for each socket that is accepted."""

    def __init__(self, handler: Handler, sink: EventSink) -> None:
        # A long-poll whose caller went away is ended at once instead of a minute later.
        super().__init__(handler, handler_cancellation=True)
        self._sink = sink

    def __call__(self) -> web.RequestHandler:
        return Connection(self, self._sink, asyncio.get_running_loop())


class Connection(web.RequestHandler):
    """One connection; answers constant texts to what it cannot parse and to bugs."""

    __slots__ = ("_sink",)

    def __init__(self, server: HttpServer, sink: EventSink, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type]  # documented as "None: no access log", typed without it
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        self._sink = sink

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - aiohttp's signature; holds what the caller sent
    ) -> web.StreamResponse:
        """Say what went wrong without a word of what was sent, and close.

        Raises `ConnectionError` when half an answer is out already: the connection is of no more use.
        """
        if status < 500:
            self._sink.emit(MalformedRequest(status=status, cause=type(exc).__name__))
            response = problem("bad-request", UNREADABLE, status=status)
        else:
            self._report(exc)
            response = problem(INTERNAL_ERROR, "The sidecar failed on this request; its log says where.")
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had been begun")
        response.force_close()
        return response

    def log_exception(self, *args: object, **kwargs: object) -> None:  # noqa: ARG002 - texts may hold a secret
        exc = sys.exc_info()[1]
        if isinstance(exc, web.RequestPayloadError):
            # A body that went wrong after its request was answered: the caller's fault, not ours.
            self._sink.emit(MalformedRequest(status=400, cause=type(exc).__name__))
        else:
            self._report(exc)

    def log_debug(self, *args: object, **kwargs: object) -> None:
        """Nothing: the stock one formats requests."""

    def _report(self, exc: BaseException | None) -> None:
        self._sink.emit(InternalFailure(where="web", trace=bare_trace(exc or sys.exc_info()[1])))
