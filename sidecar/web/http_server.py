"""What stands behind the sockets of one listener: it lets callers in, and makes a connection of who speaks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias, cast

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

from sidecar.core.limits import Limit, Limits, ListenerName
from sidecar.core.ports import EventSink
from sidecar.core.request_events import LimitHit
from sidecar.web.connection import Connection
from sidecar.web.crowd import Crowd, Seat
from sidecar.web.stranger import Stranger
from sidecar.web.warm import WarmAnswers

Handler: TypeAlias = Callable[[BaseRequest], Awaitable[StreamResponse]]


class HttpServer(Server):
    """Makes one `Stranger` for each socket that is accepted."""

    def __init__(
        self,
        handler: Handler,
        sink: EventSink,
        listener: ListenerName,
        limits: Limits,
        warm: WarmAnswers | None = None,
        dispersed: Callable[[], None] = lambda: None,
    ) -> None:
        """`dispersed` is called when most of many callers have gone."""
        # A long-poll whose caller went away is ended at once instead of a minute later.
        super().__init__(self._answer, handler_cancellation=True)
        self._handle = handler
        self._draining = False
        self._sink = sink
        self._name = listener
        self._warm = warm
        self.crowd = Crowd(limits, self._limited, dispersed)

    def __call__(self) -> asyncio.Protocol:  # type: ignore[override]  # the first protocol of two
        return Stranger(self.crowd, asyncio.get_running_loop(), self._welcome, self._warm)

    def drain(self) -> None:
        """From now on each answer ends its connection, so that no caller sends on one that is about to end."""
        self._draining = True
        if self._warm is not None:
            self._warm.close()

    async def _answer(self, request: BaseRequest) -> StreamResponse:
        response = await self._handle(request)
        if self._draining or cast("Connection", request.protocol).gives_way:
            response.force_close()
        return response

    def _welcome(self, seat: Seat) -> Connection:
        return Connection(self, self.crowd, seat, self._sink, asyncio.get_running_loop(), self._warm)

    def _limited(self, limit: Limit) -> None:
        self._sink.emit(LimitHit(listener=self._name, limit=limit))
