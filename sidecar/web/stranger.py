"""A connection that has not said anything yet, or nothing but what has a warm answer: no parser is made, and no task.

Thousands of them cost next to nothing. The first other bytes make it a `Connection`, which then has the transport to
itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from sidecar.core.limits import Limit
from sidecar.core.model import Moment
from sidecar.web.answers import wire_bytes
from sidecar.web.connection import KEEPALIVE_S, Connection
from sidecar.web.crowd import Crowd, Seat
from sidecar.web.problems import problem
from sidecar.web.warm import WarmAnswers

OVERLOADED = wire_bytes(
    problem(
        "overloaded",
        "All connections this sidecar may have are in use (SIDECAR_MAX_CONNECTIONS, or its limit of open files).",
        retry_after_s=1,
    )
)


class Stranger(asyncio.Protocol):
    """`welcome` makes the connection that takes over."""

    __slots__ = ("_crowd", "_loop", "_paused", "_seat", "_transport", "_turned_away", "_warm", "_welcome")

    def __init__(
        self,
        crowd: Crowd,
        loop: asyncio.AbstractEventLoop,
        welcome: Callable[[Seat], Connection],
        warm: WarmAnswers | None,
    ) -> None:
        self._crowd = crowd
        self._loop = loop
        self._welcome = welcome
        self._warm = warm
        self._paused = False
        """What was answered lies unread, as much of it as may: nothing more is answered without waiting."""
        self._turned_away = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._seat, room = self._crowd.enter(self)
        self._turned_away = not room

    def data_received(self, data: bytes) -> None:
        if self._turned_away:
            # Not before the request is in: closing on unread bytes is a reset, which may overtake the answer.
            self._transport.write(OVERLOADED)
            self._transport.close()
            return
        if self._warm is not None and not self._paused and (warm := self._warm.find(data)) is not None:
            self._transport.write(warm.answer)
            if warm.closes:
                self._transport.close()
                return
            self._crowd.rests_again(self._seat, self._loop.time())
            return
        connection = self._seat.guest = self._welcome(self._seat)
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        if self._paused:
            connection.pause_writing()
        connection.data_received(data)

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's form
        self._crowd.leave(self._seat)
        # It knows us: without this both stay until the garbage collector comes.
        del self._seat.guest

    def is_owed(self) -> bool:
        return False

    def overdue(self, now: Moment) -> Limit | None:
        silent_s = now - self._seat.since
        if self._seat.standing == "owes":
            return "slow-headers" if silent_s > self._crowd.limits.header_timeout_s else None
        if self._transport.get_write_buffer_size():
            return "slow-reader" if silent_s > self._crowd.limits.write_timeout_s else None
        if silent_s > KEEPALIVE_S:
            # No limit that anybody hit: as aiohttp does with a connection that rests too long.
            self._transport.close()
        return None

    def give_way(self) -> None:
        self.cut()

    def cut(self) -> None:
        if self._turned_away:
            # It had no time to ask. Most clients read what is there before they find the connection closed.
            self._transport.write(OVERLOADED)
            self._transport.close()
        else:
            self._transport.abort()
