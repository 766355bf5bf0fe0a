"""An app's body as aiohttp sends it."""

from __future__ import annotations

import aiohttp
from aiohttp.abc import AbstractStreamWriter

_PART_BYTES = 64 * 1024
"""Longer bodies are sent in parts of this size."""


class _Parts(aiohttp.Payload):
    """A body that is sent in parts. aiohttp's own payloads copy it, or write it at once and warn of long ones."""

    def __init__(self, body: bytes) -> None:
        super().__init__(body)
        self._body = body

    @property
    def size(self) -> int:
        return len(self._body)

    def decode(self, encoding: str = "utf-8", errors: str = "strict") -> str:
        return self._body.decode(encoding, errors)

    async def write(self, writer: AbstractStreamWriter) -> None:
        body = memoryview(self._body)
        for start in range(0, len(body), _PART_BYTES):
            await writer.write(body[start : start + _PART_BYTES])


def payload_of(body: bytes) -> bytes | aiohttp.Payload | None:
    """Return what aiohttp sends as the body, without a copy of it; None for an empty body."""
    return _Parts(body) if len(body) > _PART_BYTES else body or None
