"""A response of another server that is passed on: its headers as they are, and its body piece by piece."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from aiohttp.http import HttpVersion11

from sidecar.web.server.request_handler import HttpRequest

_NO_BODY = (204, 304)


class BrokenBodyError(Exception):
    """The body ends here although it is not complete."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamedResponse:
    """`headers` without those of framing and connection, which are added. They must have no line break.

    `length` is the body's announced size in bytes, None where it is not known. `first` is the beginning of the body,
    and `rest` yields what follows, or raises `BrokenBodyError`. None: nothing follows.
    """

    status: int
    reason: bytes
    headers: Sequence[tuple[bytes, bytes]]
    length: int | None
    first: bytes = b""
    rest: AsyncGenerator[bytes, None] | None = None

    async def write_to(self, request: HttpRequest, *, keeps: bool) -> bool:
        """Write all of it. Return whether the connection can be kept, if it is to be.

        A connection whose body broke is aborted, so that no client takes the part for the whole.
        """
        connection, has_body = request.connection, request.method != "HEAD" and self.status not in _NO_BODY
        is_chunked = has_body and self.length is None and request.version >= HttpVersion11
        keeps = keeps and (is_chunked or not has_body or self.length is not None)
        connection.write(self._head(request, is_chunked=is_chunked, keeps=keeps) + _framed(self.first, is_chunked))
        if self.rest is not None:
            async with aclosing(self.rest) as rest:
                try:
                    async for piece in rest:
                        connection.write(_framed(piece, is_chunked))
                        if connection.write_paused:
                            await request.writer.drain()
                except BrokenBodyError:
                    connection.abort()
                    return False
        if is_chunked:
            connection.write(b"0\r\n\r\n")
        return keeps

    def _head(self, request: HttpRequest, *, is_chunked: bool, keeps: bool) -> bytes:
        lines = [b"HTTP/1.%d %d %b" % (request.version.minor, self.status, self.reason)]
        lines += [b"%b: %b" % field for field in self.headers]
        if is_chunked:
            lines.append(b"Transfer-Encoding: chunked")
        elif self.length is not None:
            lines.append(b"Content-Length: %d" % self.length)
        if not keeps:
            lines.append(b"Connection: close")
        elif request.version < HttpVersion11:
            lines.append(b"Connection: keep-alive")
        return b"\r\n".join((*lines, b"", b""))


def _framed(piece: bytes, is_chunked: bool) -> bytes:
    return b"%x\r\n%b\r\n" % (len(piece), piece) if is_chunked and piece else piece
