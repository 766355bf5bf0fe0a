"""The responses of both listeners: their common headers, and their encoding."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime
from functools import lru_cache
from http import HTTPStatus

import msgspec

from sidecar.core.model import UtcTime
from sidecar.core.request_events import Outcome
from sidecar.vending.api import VendedToken

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_ALWAYS = "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\nServer: token-sidecar\r\n"
"""No caching, no content sniffing, no server version."""
_NO_LENGTH = (204, 304)
_PHRASES: Mapping[int, str] = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Response:
    """`headers` are those that not every response has. `closes`: the connection ends with this response."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False


@dataclass(slots=True)
class EndpointResult:
    """A response and the contract's code for it: `ok`, `not-modified` or an error code.

    `profile` is set only by an endpoint that reads the profile from the body. `token_id` and `outcome` are for the
    audit: `outcome` is set where the response has a token, or a token was reported.
    """

    code: str
    response: Response
    profile: str = ""
    token_id: str = ""
    outcome: Outcome | None = None
    vended: VendedToken | None = None
    render: Callable[[VendedToken], Response] | None = None
    """Set where the response has a token: makes the same response with another token."""


def make_response(
    status: int, body: bytes = b"", *, content_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """Return a response, with a content type where it has a body."""
    if body:
        return Response(status, body, {"Content-Type": content_type, **(headers or {})})
    return Response(status, body, headers or {})


def json_response(status: int, document: object, *, headers: Mapping[str, str] | None = None) -> Response:
    return make_response(status, msgspec.json.encode(document), headers=headers)


def wire_bytes(
    response: Response, *, closes: bool, at: UtcTime | None = None, with_body: bool = True, minor_version: int = 1
) -> bytes:
    """Return the bytes of the response for an HTTP/1.0 or 1.1 client; `at` is its `Date`, None for no `Date`.

    Raises `ValueError` for a header with a line break.
    """
    status, body = response.status, response.body
    lines = [f"HTTP/1.{minor_version} {status} {_PHRASES[status]}\r\n{_ALWAYS}"]
    lines += [f"{name}: {value}\r\n" for name, value in response.headers.items()]
    if status not in _NO_LENGTH:
        lines.append(f"Content-Length: {len(body)}\r\n")
    if at is not None:
        lines.append(f"Date: {_http_date(int(at))}\r\n")
    if closes:
        lines.append("Connection: close\r\n")
    elif minor_version == 0:
        lines.append("Connection: keep-alive\r\n")
    head = "".join(lines)
    # `lines[0]` has four lines, not one: the status line and the three of `_ALWAYS`.
    if head.count("\n") != len(lines) + 3:
        raise ValueError("a header with a line break in it")
    return f"{head}\r\n".encode() + (body if with_body else b"")


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True)
