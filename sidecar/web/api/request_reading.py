"""Reads the parts of a request: the target by its raw bytes, options in query and headers, and small bodies."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from urllib.parse import parse_qsl

from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from sidecar.core.model import Seconds
from sidecar.web.responses import RequestError
from sidecar.web.server.request_handler import HttpRequest

_ABSOLUTE = re.compile(r"https?://([^/?#]*)", re.IGNORECASE)
"""The form of requests to a proxy; every server must accept it too (RFC 9112 section 3.2.2)."""


def authority_of(request: HttpRequest) -> str:
    """Return the host and port of a target in absolute form; empty for the usual target, which is a path."""
    form = None if request.raw_path.startswith("/") else _ABSOLUTE.match(request.raw_path)
    # Never empty for another form: a target without a valid authority must not look like the usual one.
    return "" if form is None else form[1] or "?"


def path_and_query(request: HttpRequest) -> tuple[str, str]:
    """Return the path, and the query after `?`."""
    target = request.raw_path
    if not target.startswith("/") and (form := _ABSOLUTE.match(target)) is not None:
        target = target[form.end() :]
    path, _, query = target.partition("?")
    return path or "/", query


_SECONDS = re.compile(r"[0-9]{1,9}(\.[0-9]{1,20})?")
_ETAG = re.compile(r'(?:W/)?"([^"]*)"')
_QUALITY = re.compile(r"q=([01](?:\.[0-9]{0,3})?)")


def seconds_of(query: str, *names: str) -> tuple[Seconds, ...]:
    """Return the values of the named query parameters, 0 for an absent one.

    Raises `RequestError` (`bad-request`) for any other parameter, one given twice, or one that is no plain decimal
    number.
    """
    if not query:
        return (0.0,) * len(names)
    given = parse_qsl(query, keep_blank_values=True)
    if any(name not in names for name, _ in given):
        known = " and ".join(f"'{name}'" for name in names) or "none"
        raise RequestError("bad-request", f"Unknown query parameter. Allowed: {known}.")
    return tuple(_seconds(name, [value for key, value in given if key == name]) for name in names)


def refuse_query(request: HttpRequest) -> None:
    """Raise `RequestError` (`bad-request`) for any query parameter."""
    seconds_of(path_and_query(request)[1])


def _seconds(name: str, values: list[str]) -> Seconds:
    if not values:
        return 0.0
    if len(values) > 1 or _SECONDS.fullmatch(values[0]) is None:
        raise RequestError("bad-request", f"Give '{name}' once, as a plain number of seconds such as {name}=30.")
    return float(values[0])


def none_match(fields: list[str], tag: str) -> bool:
    """Whether `If-None-Match` covers `tag`: by `*`, or by weak comparison in its lists (RFC 9110 section 13.1.2)."""
    return any(field.strip() == "*" or tag in _ETAG.findall(field) for field in fields)


@lru_cache(maxsize=64)
def prefers_text(fields: tuple[str, ...]) -> bool:
    """Whether `Accept` prefers plain text to JSON; JSON for a tie, or without `Accept`."""
    ranges = [_media_range(part) for field in fields for part in field.split(",")]
    return _quality(ranges, "text", "plain") > _quality(ranges, "application", "json")


def _media_range(part: str) -> tuple[str, float]:
    name, _, parameters = part.partition(";")
    weight = _QUALITY.search(parameters.replace(" ", "").lower())
    return name.strip().lower(), float(weight[1]) if weight else 1.0


def _quality(ranges: list[tuple[str, float]], kind: str, subtype: str) -> float:
    """Return the weight of the most specific range (RFC 9110 section 12.5.1); 0 when none covers the type."""
    for wanted in (f"{kind}/{subtype}", f"{kind}/*", "*/*"):
        weights = [weight for name, weight in ranges if name == wanted]
        if weights:
            return max(weights)
    return 0.0


_TOO_MANY = "Too many requests are waiting for their bodies. This one waited longest: send head and body together."


async def read_body(request: HttpRequest, media_type: str, max_bytes: int) -> bytes:
    """As `read_bytes`. Also raises `RequestError` for another type, or a body with a `Content-Encoding`."""
    if request.content_type != media_type or request.headers.get("Content-Encoding", "identity") != "identity":
        raise RequestError("bad-request", f"Send the body as 'Content-Type: {media_type}', without Content-Encoding.")
    return await read_bytes(request, max_bytes)


async def read_bytes(request: HttpRequest, max_bytes: int) -> bytes:
    """Return the whole body as it was sent. Raises `RequestError` if it is too large, slow or malformed.

    Also raises it for the request that has waited longest, when too many requests wait for their bodies.
    """
    connection = request.connection
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


async def _read(request: HttpRequest, max_bytes: int) -> bytes:
    if request.headers.get("Expect", "").lower() == "100-continue":
        request.connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    body = bytearray()
    while not request.content.at_eof():
        body += await request.content.readany()
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
    return bytes(body)


def _too_large(max_bytes: int) -> RequestError:
    return RequestError("payload-too-large", f"Send at most {max_bytes} bytes.")


SMALL_BYTES = 64 * 1024


class BodyMemory:
    """Bounds the memory of large bodies that are held at the same time, to `total_bytes` and at least one body.

    `max_bytes` is the limit of one body. Bodies up to `SMALL_BYTES` are not counted: the number of connections bounds
    them.
    """

    def __init__(self, max_bytes: int, total_bytes: int) -> None:
        self.max_bytes = max_bytes
        self._free_bytes = max(total_bytes, max_bytes)

    @contextmanager
    def reserved(self, request: HttpRequest) -> Iterator[None]:
        """Reserve memory for the request's body. Raises `RequestError` when there is not enough."""
        length = request.content_length if request.can_read_body else 0
        size_bytes = self.max_bytes if length is None else min(length, self.max_bytes)
        if size_bytes <= SMALL_BYTES:
            size_bytes = 0
        if size_bytes > self._free_bytes:
            raise RequestError("overloaded", "Too many large bodies are held at the same time.", retry_after_s=1)
        self._free_bytes -= size_bytes
        try:
            yield
        finally:
            self._free_bytes += size_bytes
