"""Reads the two kinds of small body that callers may send, within limits of size and time."""

from __future__ import annotations

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError
from aiohttp.web_request import BaseRequest

from sidecar.web.refusals import RequestError
from sidecar.web.server.protocol import connection_of

_TOO_MANY = "Too many requests are waiting for their bodies. This one waited longest: send head and body together."


async def read_body(request: BaseRequest, media_type: str, max_bytes: int) -> bytes:
    """Return the whole body. Raises `RequestError` if its type is another, or if it is too large, slow or malformed.

    Also raises it for the request that has waited longest, when too many requests wait for their bodies.
    """
    connection = connection_of(request)
    if request.content_type != media_type or request.headers.get("Content-Encoding", "identity") != "identity":
        raise RequestError("bad-request", f"Send the body as 'Content-Type: {media_type}', without Content-Encoding.")
    if (request.content_length or 0) > max_bytes:
        raise _too_large(max_bytes)
    try:
        if request.content.is_eof():
            return await _read(request, max_bytes)
        async with connection.waiting_for_body():
            return await _read(request, max_bytes)
    except TimeoutError:
        if connection.gives_way:
            raise RequestError("overloaded", _TOO_MANY, retry_after_s=1) from None
        connection.limited("slow-body")
        raise RequestError(
            "bad-request", f"Send the whole body within {connection.limits.body_timeout_s:g} s."
        ) from None
    except (RequestPayloadError, HttpProcessingError) as error:
        # The stream keeps the error, whose traceback refers to frames that hold the body.
        error.__traceback__ = None
        # The error's own text quotes the body.
        raise RequestError("bad-request", "The body is incomplete, or its transfer coding is malformed.") from None


async def _read(request: BaseRequest, max_bytes: int) -> bytes:
    if request.headers.get("Expect", "").lower() == "100-continue":
        connection_of(request).write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    while not request.content.at_eof():
        body += await request.content.readany()
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError("payload-too-large", f"Send at most {max_bytes} bytes.")
