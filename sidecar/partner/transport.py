"""Connections that limit the bytes received from the partner to those of one response.

aiohttp limits lines, headers and how far a body is read ahead. It has no limit for discarded data: endless interim
responses (1xx), which took a hundred megabytes and stopped the event loop for a second, chunk sizes and extensions, and
empty lines. So all received bytes are counted here.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MAX_ANSWER_BYTES = 128 * 1024
"""Includes head, interim responses and framing: twice the longest body that is read."""


class BoundedConnector(aiohttp.TCPConnector):
    """For connections that serve one call each."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(**settings, force_close=True)
        # aiohttp has no public way to choose the protocol of a connection; a test checks that this still works.
        kind: type[ResponseHandler] = _BoundedHandler
        self._factory = partial(kind, loop=asyncio.get_running_loop())


class _BoundedHandler(ResponseHandler):
    """Aborts the connection after more bytes than a response may have."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._left_bytes = MAX_ANSWER_BYTES

    def data_received(self, data: bytes) -> None:
        came, self._left_bytes = len(data), self._left_bytes - len(data)
        if self._left_bytes >= 0:
            super().data_received(data)
            return
        # The bytes within the limit may contain the head of a response that is too long: it gives the kind of failure.
        if came + self._left_bytes > 0:
            super().data_received(data[: self._left_bytes])
        transport = self.transport
        if transport is not None:
            self._fail()
            transport.abort()

    def _fail(self) -> None:
        failure = aiohttp.ClientPayloadError("more than an answer")
        if self._payload is not None:
            self._payload.set_exception(failure)
        self.set_exception(failure)
