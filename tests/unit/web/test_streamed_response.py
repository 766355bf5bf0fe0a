"""Another server's response reaches the client whole, or the connection ends too early for a client to think so."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncGenerator, Sequence
from http.client import HTTPResponse, IncompleteRead
from types import SimpleNamespace
from typing import cast

import pytest
from aiohttp.http import HttpVersion, HttpVersion10, HttpVersion11

from sidecar.web.server.request_handler import HttpRequest
from sidecar.web.server.streamed_response import BrokenBodyError, StreamedResponse

HEADERS = [(b"Content-Type", b"text/plain"), (b"X-Twice", b"1"), (b"X-Twice", b"2")]


class Connection:
    """Takes what is written. `drained` is set by the test, once per pause."""

    def __init__(self) -> None:
        self.raw = b""
        self.aborted = False
        self.write_paused = False
        self.draining = asyncio.Event()
        self.drained = asyncio.Event()

    def write(self, data: bytes) -> None:
        assert not self.aborted
        self.raw += data

    def abort(self) -> None:
        self.aborted = True

    async def drain(self) -> None:
        self.draining.set()
        await self.drained.wait()


class Pieces:
    """A body in pieces, with an error after the last one where `breaks` is set."""

    def __init__(self, *pieces: bytes, breaks: bool = False) -> None:
        self.pieces, self.breaks = pieces, breaks
        self.taken = 0
        self.closed = False

    async def read(self) -> AsyncGenerator[bytes, None]:
        try:
            for piece in self.pieces:
                self.taken += 1
                yield piece
            if self.breaks:
                raise BrokenBodyError
        finally:
            self.closed = True


async def written(
    response: StreamedResponse,
    connection: Connection,
    *,
    method: str = "GET",
    version: HttpVersion = HttpVersion11,
    keeps: bool = True,
) -> bool:
    request = SimpleNamespace(
        method=method, version=version, connection=connection, writer=SimpleNamespace(drain=connection.drain)
    )
    return await response.write_to(cast(HttpRequest, request), keeps=keeps)


def response(length: int | None, first: bytes = b"", rest: Pieces | None = None, status: int = 200) -> StreamedResponse:
    pieces = None if rest is None else rest.read()
    return StreamedResponse(status=status, reason=b"Said So", headers=HEADERS, length=length, first=first, rest=pieces)


class _Socket(io.BytesIO):
    def makefile(self, _mode: str) -> io.BytesIO:
        return self


def parsed(connection: Connection, method: str = "GET") -> tuple[HTTPResponse, bytes]:
    """Read the response as a client of the standard library does. Raises `IncompleteRead`."""
    answer = HTTPResponse(_Socket(connection.raw), method=method)  # type: ignore[arg-type]
    answer.begin()
    return answer, answer.read()


def lines(connection: Connection) -> Sequence[bytes]:
    return connection.raw.partition(b"\r\n\r\n")[0].split(b"\r\n")


async def test_status_reason_and_headers_are_those_of_the_other_server() -> None:
    connection = Connection()
    assert await written(response(2, b"{}", status=299), connection)
    assert connection.raw == (
        b"HTTP/1.1 299 Said So\r\nContent-Type: text/plain\r\nX-Twice: 1\r\nX-Twice: 2\r\nContent-Length: 2\r\n\r\n{}"
    )


@pytest.mark.parametrize("length", [8, None], ids=["length", "chunked"])
@pytest.mark.parametrize("keeps", [True, False])
async def test_a_body_is_whole_and_the_connection_stays_where_it_may(length: int | None, keeps: bool) -> None:
    connection, rest = Connection(), Pieces(b"cd", b"", b"efgh")
    assert await written(response(length, b"ab", rest), connection, keeps=keeps) is keeps
    answer, body = parsed(connection)
    assert (body, rest.closed) == (b"abcdefgh", True)
    assert answer.getheader("Content-Length") == (None if length is None else "8")
    assert answer.getheader("Transfer-Encoding") == ("chunked" if length is None else None)
    assert answer.getheader("Connection") == (None if keeps else "close")


async def test_an_empty_piece_is_no_last_chunk() -> None:
    connection = Connection()
    await written(response(None, b"", Pieces(b"", b"a", b"")), connection)
    assert connection.raw.endswith(b"\r\n\r\n1\r\na\r\n0\r\n\r\n")


async def test_to_http_1_0_a_body_without_length_ends_with_the_connection() -> None:
    connection = Connection()
    assert not await written(response(None, b"ab", Pieces(b"cd")), connection, version=HttpVersion10)
    assert lines(connection)[0].startswith(b"HTTP/1.0 200")
    assert b"Connection: close" in lines(connection)
    assert parsed(connection)[1] == b"abcd"


async def test_to_http_1_0_a_kept_connection_is_announced() -> None:
    connection = Connection()
    assert await written(response(2, b"ab"), connection, version=HttpVersion10)
    assert b"Connection: keep-alive" in lines(connection)


@pytest.mark.parametrize(("method", "status"), [("HEAD", 200), ("GET", 204), ("GET", 304)])
@pytest.mark.parametrize("length", [None, 9], ids=["no length", "length"])
@pytest.mark.parametrize("version", [HttpVersion10, HttpVersion11], ids=["1.0", "1.1"])
async def test_a_response_without_a_body_has_none_and_keeps_the_connection(
    method: str, status: int, length: int | None, version: HttpVersion
) -> None:
    connection = Connection()
    assert await written(response(length, status=status), connection, method=method, version=version)
    head, _, body = connection.raw.partition(b"\r\n\r\n")
    assert body == b""
    assert b"Transfer-Encoding" not in head
    assert (b"Content-Length: 9" in head) is (length is not None)


@pytest.mark.parametrize("length", [8, None], ids=["length", "chunked"])
async def test_a_broken_body_aborts_the_connection(length: int | None) -> None:
    connection, rest = Connection(), Pieces(b"cd", breaks=True)
    assert not await written(response(length, b"ab", rest), connection)
    assert (connection.aborted, rest.closed) == (True, True)
    with pytest.raises(IncompleteRead):
        parsed(connection)


async def test_no_further_piece_is_taken_while_the_client_does_not_read() -> None:
    connection, rest = Connection(), Pieces(b"cd", b"ef", b"gh")
    connection.write_paused = True
    writing = asyncio.create_task(written(response(8, b"ab", rest), connection))
    await connection.draining.wait()
    assert (rest.taken, rest.closed) == (1, False)
    connection.write_paused = False
    connection.drained.set()
    assert await writing
    assert parsed(connection)[1] == b"abcdefgh"


async def test_a_client_that_leaves_ends_the_reading_of_the_body() -> None:
    connection, rest = Connection(), Pieces(b"cd", b"ef")
    connection.write_paused = True
    writing = asyncio.create_task(written(response(6, b"ab", rest), connection))
    await connection.draining.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert (rest.taken, rest.closed) == (1, True)
