"""Reads the two small documents that callers may send, and nothing larger or slower."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from sidecar.web.refusals import RefusedError

MAX_BODY_BYTES = 16 * 1024
BODY_TIMEOUT_S = 5.0


async def read_body(request: web.BaseRequest, media_type: str) -> bytes:
    """The whole body. Raises `RefusedError` for another content type, or a body too large, too slow or malformed."""
    if request.content_type != media_type or request.headers.get("Content-Encoding", "identity") != "identity":
        raise RefusedError("bad-request", f"Send the body as 'Content-Type: {media_type}', not encoded.")
    if (request.content_length or 0) > MAX_BODY_BYTES:
        raise _too_large()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await _read(request)
    except TimeoutError:
        raise RefusedError("bad-request", f"Send the whole body within {BODY_TIMEOUT_S:g} s.") from None
    except (web.RequestPayloadError, HttpProcessingError):
        # Its text quotes the body.
        raise RefusedError("bad-request", "The body's transfer coding is malformed.") from None


async def _read(request: web.BaseRequest) -> bytes:
    if request.headers.get("Expect", "").lower() == "100-continue":
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        # The interim answer does not count as one begun: a refusal may still follow it.
        request.writer.output_size = 0
    body = bytearray()
    while not request.content.at_eof():
        body += await request.content.readany()
        if len(body) > MAX_BODY_BYTES:
            raise _too_large()
    return bytes(body)


def _too_large() -> RefusedError:
    return RefusedError("payload-too-large", f"Send at most {MAX_BODY_BYTES} bytes.")
