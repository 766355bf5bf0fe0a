"""A connection that has not said anything yet: nothing is made for it, no parser and no task.

Thousands of them cost next to nothing. Its first bytes make it a `Connection`, which then has the transport to itself.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from sidecar.core.limits import Limit
from sidecar.core.model import Moment
from sidecar.web.answers import wire_bytes
from sidecar.web.connection import Connection
from sidecar.web.crowd import Crowd
from sidecar.web.problems import problem

OVERLOADED = wire_bytes(
    problem(
        "overloaded",
        "All connections this sidecar may have are in use (SIDECAR_MAX_CONNECTIONS).",
        retry_after_s=1,
        headers={"Connection": "close"},
    )
)


class Stranger(asyncio.Protocol):
    """`welcome` makes the connection that takes over."""

    __slots__ = ("_crowd", "_loop", "_since", "_transport", "_turned_away", "_welcome")

    def __init__(self, crowd: Crowd, loop: asyncio.AbstractEventLoop, welcome: Callable[[], Connection]) -> None:
        self._crowd = crowd
        self._loop = loop
        self._welcome = welcome
        self._since: Moment = 0
        self._turned_away = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._since = self._loop.time()
        self._turned_away = not self._crowd.enter(self)

    def data_received(self, data: bytes) -> None:
        if self._turned_away:
            # Not before the request is in: closing on unread bytes is a reset, which may overtake the answer.
            self._transport.write(OVERLOADED)
            self._transport.close()
            return
        connection = self._welcome()
        self._crowd.know(self, connection)
        self._transport.set_protocol(connection)
        connection.connection_made(self._transport)
        connection.data_received(data)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's form
        self._crowd.leave(self)

    def silent_since(self) -> tuple[bool, Moment]:
        return False, self._since

    def overdue(self, now: Moment) -> Limit | None:
        return "slow-headers" if now - self._since > self._crowd.limits.header_timeout_s else None

    def cut(self) -> None:
        self._transport.abort()
