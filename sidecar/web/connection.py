"""One connection: what it is owed and owes, how long it may take, and which requests need no second look."""

from __future__ import annotations

import asyncio
import select
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import cast

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import StreamResponse
from aiohttp.web_server import Server

from sidecar.core.limits import Limit, Limits
from sidecar.core.model import Moment
from sidecar.core.ports import EventSink
from sidecar.web.constant_errors import ConstantErrors
from sidecar.web.crowd import Crowd, Seat, Standing
from sidecar.web.head_meter import HeadMeter
from sidecar.web.warm import WarmAnswers

KEEPALIVE_S = 75.0
LINGER_S = 1.0
"""How long the rest of a refused body is read, so that the caller gets to see the refusal."""


class Connection(ConstantErrors):
    """One connection of a caller that sent something."""

    __slots__ = (
        "_answered", "_crowd", "_half_closed_at", "_meter", "_patience", "_polls", "_seat", "_socket",
        "_unread_since", "_warm", "asked", "gives_way", "limited", "limits",
    )  # fmt: skip

    def __init__(
        self,
        server: Server,
        crowd: Crowd,
        seat: Seat,
        sink: EventSink,
        loop: asyncio.AbstractEventLoop,
        warm: WarmAnswers | None,
    ) -> None:
        super().__init__(
            server,
            sink,
            loop=loop,
            access_log=None,
            keepalive_timeout=KEEPALIVE_S,
            lingering_time=LINGER_S,
            auto_decompress=False,
        )
        self._crowd = crowd
        self._seat = seat
        self._polls = False
        # Ends what the request waits for.
        self._patience: asyncio.Timeout | None = None
        self._answered = 0
        self.gives_way = False
        """Whether the next answer ends the connection, because others need its place."""
        self.limits: Limits = crowd.limits
        self.limited = crowd.limited
        self._meter = HeadMeter(self, loop, self.limits, self.limited)
        # aiohttp has no argument for either; its own parser knows no limit for a whole head.
        self._parser = self._meter  # type: ignore[assignment]
        self._max_msg_queue_size = self.limits.max_pipelined
        self._msg_queue_resume_size = self.limits.max_pipelined // 2
        # aiohttp forgets the transport while what it wrote may still lie unread.
        self._socket: asyncio.Transport | None = None
        self._unread_since: Moment | None = None
        self._half_closed_at: Moment | None = None
        self._warm = warm
        self.asked: bytes | None = None
        """The bytes of the request that is being answered, where they came alone and are all of it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.Transport", transport)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._crowd.leave(self._seat)
        super().connection_lost(exc)
        # They know us, and what refers to itself stays until the garbage collector comes, which an idle process never
        # calls: ten thousand callers left a hundred megabytes, with what they had asked.
        del self._meter, self._seat.guest
        self._socket = None

    def data_received(self, data: bytes) -> None:
        self.asked = None
        if self._warm is not None and self._socket is not None and self._meter.whole and self._is_idle():
            warm = self._warm.find(data)
            if warm is not None:
                self._socket.write(warm.answer)
                if warm.closes:
                    self._socket.close()
                now = self._loop.time()
                self._next_keepalive_close_time = now + KEEPALIVE_S
                self._crowd.rests_again(self._seat, now)
                return
            self.asked = data
        super().data_received(data)
        if not self._meter.whole:
            self.asked = None
        self._stand()

    def pause_writing(self) -> None:
        super().pause_writing()
        self._stand()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stand()

    async def _handle_request(
        self,
        request: BaseRequest,
        start_time: float | None,
        request_handler: Callable[[BaseRequest], Awaitable[StreamResponse]],
    ) -> tuple[StreamResponse, bool]:
        try:
            return await super()._handle_request(request, start_time, request_handler)
        finally:
            self._answered += 1
            self._stand()

    def _stand(self) -> None:
        """Tell the crowd how this connection stands now."""
        if self._socket is None:
            return
        if self._paused or not self._request_count or not self._meter.rests:
            standing: Standing = "owes"
        elif self.is_owed():
            standing = "polls" if self._polls else "busy"
        else:
            standing = "rests"
        self._crowd.stands(self._seat, standing)

    @asynccontextmanager
    async def waiting_for_body(self) -> AsyncIterator[None]:
        """Raises `TimeoutError` after the time for a body, or once the connection has to give way."""
        try:
            async with asyncio.timeout(self.limits.body_timeout_s) as self._patience:
                self._crowd.begin_body(self._seat)
                yield
        finally:
            self._patience = None
            self._crowd.end_body(self._seat)

    @asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        """While the request waits for news. Raises `TimeoutError` once the connection has to give way."""
        try:
            async with asyncio.timeout(None) as self._patience:
                self._polls = True
                self._stand()
                yield
        finally:
            self._polls, self._patience = False, None
            self._stand()

    def eof_received(self) -> bool:  # type: ignore[override]  # aiohttp's returns None: the transport closes at once
        """Keep the connection open while requests that came whole wait for their answers.

        A caller that closed its writing side may still read. One that is gone is told from it by its reset: an answer
        that is sent to it brings one, and `overdue` looks for one.
        """
        if self._half_closed_at is None:
            self._half_closed_at = self._loop.time()
        self._meter.end()
        if self._request_count == 0 or (self._waiter is not None and not self._waiter.done()):
            return False
        self._close_after_last()
        return True

    async def finish_response(
        self, request: BaseRequest, resp: StreamResponse, start_time: float | None
    ) -> tuple[StreamResponse, bool]:
        """As aiohttp's. The last answer to a half-closed caller ends the connection."""
        finished = await super().finish_response(request, resp, start_time)
        self._close_after_last()
        return finished

    def _close_after_last(self) -> None:
        if self._half_closed_at is not None and not self._messages:
            # Not before: aiohttp would leave the requests that were sent ahead unanswered.
            self._close = True

    def _is_idle(self) -> bool:
        """Whether nothing is under way and no answer lies unread, so that what comes now is answered next, at once."""
        if self._close or self._force_close or self._paused:
            return False
        # Before the first request nobody waits for one yet.
        return self._request_count == 0 or (self._waiter is not None and not self._waiter.done())

    def is_owed(self) -> bool:
        """As `Guest`."""
        return self._request_count > self._answered

    def overdue(self, now: Moment) -> Limit | None:
        """As `Guest`."""
        if self._half_closed_at is not None and self._socket is not None and _was_reset(self._socket):
            # No limit that anybody hit.
            self._socket.abort()
            return None
        if self._socket is None or not self._socket.get_write_buffer_size():
            self._unread_since = None
        elif self._unread_since is None:
            self._unread_since = now
        elif now - self._unread_since > self.limits.write_timeout_s:
            return "slow-reader"
        began_at = self._meter.began_at
        if began_at is not None and now - began_at > self.limits.header_timeout_s:
            return "slow-headers"
        return None

    def give_way(self) -> None:
        """As `Guest`."""
        self.gives_way = True
        if self._patience is not None and not self._patience.expired():
            self._patience.reschedule(self._loop.time())

    def cut(self) -> None:
        """As `Guest`."""
        if self._socket is not None:
            self._socket.abort()


def _was_reset(transport: asyncio.Transport) -> bool:
    """Whether the other side is gone altogether. After the end of what it sends, no event loop looks for that."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.fileno() < 0:
        return False
    look = select.poll()
    look.register(sock.fileno(), 0)
    return bool(look.poll(0))
