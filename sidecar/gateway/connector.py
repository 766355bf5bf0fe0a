"""The gateway's pool of connections to the partner, in which nothing that comes unasked becomes a response."""

from __future__ import annotations

import asyncio
from functools import partial

import aiohttp
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.tracing import Trace

from sidecar.core.model import Seconds
from sidecar.partner.transport import PartnerResolver
from sidecar.resolver import Resolver

_KEEPALIVE_S: Seconds = 15
"""Shorter than that of most servers: a kept connection that the partner closes makes the outcome of a write unknown."""
_FALLBACK_AFTER_S: Seconds = 0.5
"""How long a look-up may delay a call when an earlier result is stored."""


class PartnerConnector(aiohttp.TCPConnector):
    """Ends kept connections on which the partner sends something before the next request.

    aiohttp takes that for the response to the next request, which may be another app's. Some load balancers send a 408
    before they close an idle connection.
    """

    def __init__(self) -> None:
        # No limit: that of the calls bounds the connections. The resolver stores results already.
        super().__init__(
            limit=0,
            resolver=PartnerResolver(Resolver(_FALLBACK_AFTER_S)),
            use_dns_cache=False,
            keepalive_timeout=_KEEPALIVE_S,
        )
        # aiohttp has no public way to choose the protocol of a connection; a test checks that this still works.
        kind: type[ResponseHandler] = _KeptHandler
        self._factory = partial(kind, loop=asyncio.get_running_loop())

    async def connect(self, req: ClientRequest, traces: list[Trace], timeout: aiohttp.ClientTimeout) -> Connection:
        connection = await super().connect(req, traces, timeout)
        handler = connection.protocol
        if isinstance(handler, _KeptHandler):
            handler.is_idle = False
            connection.add_callback(handler.rest)
        return connection


class _KeptHandler(ResponseHandler):
    """`is_idle`: no request is under way."""

    is_idle = False

    def rest(self) -> None:
        self.is_idle = True

    def data_received(self, data: bytes) -> None:
        # aiohttp calls it without data to go on with what it has.
        if not (self.is_idle and data):
            super().data_received(data)
        elif self.transport is not None:
            self.transport.abort()
