"""Reads the body of a request of aiohttp as the exact bytes that are signed and sent."""

from __future__ import annotations

import io

import aiohttp
from aiohttp.abc import AbstractStreamWriter
from aiohttp.payload import BytesIOPayload, Payload
from multidict import CIMultiDict


async def read_body(request: aiohttp.ClientRequest) -> bytes:
    """Return the body as it is sent, and replace it by these bytes. Raises `ValueError`."""
    payload = request.body
    if not isinstance(payload, Payload):
        return payload
    if request.compress:
        raise ValueError("a body that aiohttp compresses cannot be signed: compress it before, or send it as it is")
    if payload.consumed:
        raise ValueError("a body that was read before cannot be signed")
    writer = _BodyWriter()
    await payload.write(writer)
    body = bytes(writer.written)
    await request.update_body(BytesIOPayload(io.BytesIO(body), headers=payload.headers))
    return body


class _BodyWriter(AbstractStreamWriter):
    """Collects the bytes that aiohttp would send. `Payload.as_bytes` returns other bytes for encoded parts."""

    def __init__(self) -> None:
        self.written = bytearray()

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        self.written += chunk

    async def write_eof(self, chunk: bytes = b"") -> None:
        self.written += chunk

    async def drain(self) -> None: ...

    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None: ...

    def enable_chunking(self) -> None: ...

    async def write_headers(self, status_line: str, headers: CIMultiDict[str]) -> None: ...
