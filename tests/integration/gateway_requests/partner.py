"""A partner that records what it receives, byte for byte, and reads it as strictly as HTTP allows.

It hands out one token, which the gateway has to send with everything else.
"""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import dataclass

TOKEN, REFRESH = "the-partners-access-token-5b1e", "the-partners-refresh-token-77d0"
TOKEN_PATH = b"/api/pay1st/auth/token"
_TURNS = 8
"""Of the event loop, for the sidecar to read a response and to keep its connection."""

_LINE = re.compile(rb"([A-Z]+) (/[!-~]*) HTTP/1\.1")
_FIELD = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+): ((?:[^\x00-\x1f\x7f]|\t)*)")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,8}")


@dataclass(frozen=True, slots=True)
class Received:
    """One request. `fields` are the header lines in order."""

    method: str
    target: str
    fields: tuple[tuple[bytes, bytes], ...]
    body: bytes

    def __str__(self) -> str:
        """Method, target and body, such as `POST /api/pay1st/payments/create "{}"`."""
        return f"{self.method} {self.target}" + (f' "{self.body.decode("latin-1")}"' if self.body else "")

    def values(self, name: bytes) -> list[bytes]:
        """The values of the headers whose name a careless server reads as this one."""
        return [value for key, value in self.fields if folded(key) == folded(name)]


class RecordingPartner:
    """`received` are the requests in order, without those for tokens. `faults` are what was no request.

    `unasked` is sent some turns of the event loop after each response, when the connection is kept for another request.
    `raw` are bytes in place of the next response; the connection ends with them.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.faults: list[str] = []
        self.authority = ""
        self.unasked = b""
        self.raw = b""
        self.connections = 0
        self._server: asyncio.Server | None = None

    async def start(self) -> str:
        """Listen, and return the base URL."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        host, port = self._server.sockets[0].getsockname()
        self.authority = f"{host}:{port}"
        return f"http://{self.authority}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while head := await _head(reader):
                request = read_head(head)
                if request is None:
                    self.faults.append(f"no request: {head!r}")
                    break
                lengths = request.values(b"Content-Length")
                body = await reader.readexactly(int(lengths[0]) if lengths else 0)
                response = self._response(Received(request.method, request.target, request.fields, body))
                raw = b""
                if request.target.encode() != TOKEN_PATH:
                    raw, self.raw = self.raw, b""
                writer.write(raw or response)
                await writer.drain()
                if raw:
                    break
                if self.unasked:
                    for _ in range(_TURNS):
                        await asyncio.sleep(0)
                    writer.write(self.unasked)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            self.faults.append(f"cut off: {error!r}")
        finally:
            writer.close()

    def _response(self, request: Received) -> bytes:
        if request.target.encode() == TOKEN_PATH:
            document = {"accessToken": TOKEN, "refreshToken": REFRESH, "partnerId": "1", "role": "API_USER"}
            return _answer(json.dumps(document).encode(), b"Content-Type: application/json")
        self.received.append(request)
        # Which of the requests this response belongs to: the test compares it with what the app sent.
        return _answer(b"" if request.method == "HEAD" else b"received", b"Received: %d" % (len(self.received) - 1))


def read_head(head: bytes) -> Received | None:
    """Read a head that every server reads in the same way; None for any other."""
    line, *lines = head.removesuffix(b"\r\n\r\n").split(b"\r\n")
    started, fields = _LINE.fullmatch(line), [_FIELD.fullmatch(one) for one in lines]
    found = tuple((field[1], field[2]) for field in fields if field is not None)
    if started is None or len(found) != len(fields):
        return None
    request = Received(started[1].decode(), started[2].decode(), found, b"")
    lengths = request.values(b"Content-Length")
    if request.values(b"Transfer-Encoding") or len(lengths) > 1 or not all(map(_LENGTH.fullmatch, lengths)):
        return None
    return request


def folded(name: bytes) -> bytes:
    """The name as servers read it that make variables of names: any other character counts as a dash."""
    return re.sub(rb"[^a-z0-9]", b"-", name.lower())


async def _head(reader: asyncio.StreamReader) -> bytes:
    """Return the next head, empty at the end of the connection."""
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if error.partial:
            raise
        return b""


def _answer(body: bytes, *fields: bytes) -> bytes:
    return b"\r\n".join([b"HTTP/1.1 200 OK", b"Content-Length: %d" % len(body), *fields, b"", body])
