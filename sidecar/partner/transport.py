"""Connections that take no more from the partner than one answer needs, whatever it consists of.

aiohttp limits lines, headers and how far a body is read ahead. It has no limit for what is thrown away: interim answers
(1xx) without end, which took a hundred megabytes and stopped the event loop for a second, chunk sizes and extensions,
empty lines. So the bytes are counted where they come in.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import aiohttp
from aiohttp.client_proto import ResponseHandler

MAX_ANSWER_BYTES = 128 * 1024
"""Head, interim answers and framing included: twice the longest body that is read."""


class BoundedConnector(aiohttp.TCPConnector):
    """For connections that serve one call each."""

    def __init__(self, **settings: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(**settings, force_close=True)
        # No public way to choose the protocol of a connection; a test sees whether this still does.
        kind: type[ResponseHandler] = _BoundedHandler
        self._factory = partial(kind, loop=asyncio.get_running_loop())


class _BoundedHandler(ResponseHandler):
    """Breaks off when there is more than an answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self._left_bytes = MAX_ANSWER_BYTES

    def data_received(self, data: bytes) -> None:
        came, self._left_bytes = len(data), self._left_bytes - len(data)
        if self._left_bytes >= 0:
            super().data_received(data)
            return
        # What still belongs to an answer may be all of one that is too long: its head says what kind of failure it is.
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
