"""Parses a server's replies within bounds: a hostile server can neither fill the memory nor block the event loop.

redis-py's own parsers buffer whatever is announced or received: a third of a gigabyte in half a second, or a list of a
thousand million items for thirteen bytes. Replies to this program are small and of few types: only these are read.
"""

from __future__ import annotations

import asyncio
from typing import Any, cast

from redis._parsers import _AsyncRESP2Parser
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import InvalidResponse

MAX_REPLY_BYTES = 1024 * 1024
"""Of one reply. A script's reply has a coordination document and a token of at most 160 KiB each. The slot table of a
cluster of 1,000 nodes has some 200 KB."""
MAX_DEPTH = 8
"""Levels of nested lists. The slot table of a cluster has four."""


class ReplyTooLargeError(InvalidResponse):
    """The reply is larger, or more deeply nested, than any reply that this program needs."""


class BoundedParser(_AsyncRESP2Parser):
    """Reads one RESP2 reply at a time, within the bounds above.

    Raises `InvalidResponse` for anything else, after which the connection is closed.
    """

    def __init__(self, socket_read_size: int) -> None:
        super().__init__(socket_read_size)
        self._left_bytes = 0

    async def read_response(self, disable_decoding: bool = False) -> Any:  # noqa: ANN401, ARG002 - redis-py's own form
        """Raises `ConnectionError` when the connection ends before the reply does."""
        if not self._connected:
            raise RedisConnectionError("closed")
        self._left_bytes = MAX_REPLY_BYTES
        try:
            reply = await self._reply(MAX_DEPTH)
        except asyncio.IncompleteReadError:
            raise RedisConnectionError("closed in mid-reply") from None
        except asyncio.LimitOverrunError:
            raise ReplyTooLargeError("a line without end") from None
        except ValueError:
            # A number is malformed, or a redirection has no valid address.
            raise InvalidResponse("not in form") from None
        if isinstance(reply, RedisConnectionError):
            raise reply
        return reply

    async def _reply(self, depth: int) -> Any:  # noqa: ANN401 - a reply may be anything
        line = await self._line()
        form, rest = line[:1], line[1:]
        if form == b"+":
            return rest
        if form == b"-":
            return self.parse_error(rest.decode(errors="replace"))  # type: ignore[no-untyped-call]  # redis-py's
        if form == b":":
            return int(rest)
        if form in (b"$", b"*"):
            size = int(rest)
            if size == -1:
                return None
            if form == b"$":
                return await self._bytes(size)
            return await self._list(size, depth)
        raise InvalidResponse("no reply of this protocol")

    async def _list(self, size: int, depth: int) -> list[Any]:
        # Each item takes at least three bytes, so a list that exceeds the limit is refused before it is read.
        self._check(3 * size)
        if depth == 0:
            raise ReplyTooLargeError("lists in lists without end")
        return [await self._reply(depth - 1) for _ in range(size)]

    async def _bytes(self, size: int) -> bytes:
        self._check(size)
        content = await self._source.readexactly(size + 2)
        self._spend(len(content))
        return bytes(content[:-2])

    @property
    def _source(self) -> asyncio.StreamReader:
        return cast("asyncio.StreamReader", self._stream)  # set while connected

    async def _line(self) -> bytes:
        line = await self._source.readuntil(b"\r\n")
        self._spend(len(line))
        return bytes(line[:-2])

    def _spend(self, count: int) -> None:
        self._check(count)
        self._left_bytes -= count

    def _check(self, count: int) -> None:
        if not 0 <= count <= self._left_bytes:
            raise ReplyTooLargeError("more than there is to say")
