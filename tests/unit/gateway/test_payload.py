"""Bodies are sent as they are, in parts, and without a copy: they are most of the gateway's memory."""

from __future__ import annotations

import tracemalloc

import aiohttp
import pytest
from aiohttp.abc import AbstractStreamWriter

from sidecar.gateway.payload import payload_of

PART_BYTES = 64 * 1024
MIB = 1 << 20


class Writer(AbstractStreamWriter):
    """Compares what it is given with `expected`, and keeps the size of each part."""

    def __init__(self, expected: bytes) -> None:
        self.expected = memoryview(expected)
        self.sizes: list[int] = []

    async def write(self, chunk: bytes | bytearray | memoryview) -> None:
        begin = sum(self.sizes)
        assert self.expected[begin : begin + len(chunk)] == chunk
        self.sizes.append(len(chunk))

    async def write_eof(self, chunk: bytes = b"") -> None: ...
    async def drain(self) -> None: ...
    def enable_compression(self, encoding: str = "deflate", strategy: int | None = None) -> None: ...
    def enable_chunking(self) -> None: ...
    async def write_headers(self, status_line: str, headers: object) -> None: ...


def test_a_small_body_is_given_to_aiohttp_as_it_is() -> None:
    assert payload_of(b"") is None
    assert payload_of(b"x" * PART_BYTES) == b"x" * PART_BYTES


@pytest.mark.parametrize("size", [PART_BYTES + 1, 2 * PART_BYTES, MIB])
async def test_a_large_body_is_sent_whole_and_in_parts(size: int) -> None:
    body = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    payload, writer = payload_of(body), Writer(body)
    assert isinstance(payload, aiohttp.Payload)
    for _ in range(2):
        # aiohttp may send a read again on another connection.
        writer.sizes.clear()
        await payload.write_with_length(writer, None)
        assert sum(writer.sizes) == payload.size == size
        assert max(writer.sizes) <= PART_BYTES


async def test_a_large_body_is_not_copied() -> None:
    body = b"x" * MIB
    writer = Writer(body)
    tracemalloc.start()
    try:
        payload = payload_of(body)
        assert isinstance(payload, aiohttp.Payload)
        await payload.write(writer)
        assert tracemalloc.get_traced_memory()[1] < MIB // 2
    finally:
        tracemalloc.stop()
