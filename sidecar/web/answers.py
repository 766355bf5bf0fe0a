"""What every response of both listeners has in common, and how it is written."""

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
"""Never stored, never sniffed, no server version."""
_NO_LENGTH = (204, 304)
_PHRASES: Mapping[int, str] = {status.value: status.phrase for status in HTTPStatus}


@dataclass(slots=True)
class Response:
    """`headers` are those that not every response has. `closes`: the connection ends with it."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    closes: bool = False


@dataclass(slots=True)
class Answered:
    """A response and the contract's code for it: `ok`, `not-modified` or an error code.

    `profile` is set only by an endpoint that learns the profile from the body. `token_id` and `outcome` are for the
    audit: `outcome` is set where a token is in the answer, or was reported.
    """

    code: str
    response: Response
    profile: str = ""
    token_id: str = ""
    outcome: Outcome | None = None
    vended: VendedToken | None = None
    render: Callable[[VendedToken], Response] | None = None
    """Where a token is in the answer: what makes such an answer with any other."""


def answer(
    status: int, body: bytes = b"", *, content_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """A response that names a content type where it has a body."""
    if body:
        return Response(status, body, {"Content-Type": content_type, **(headers or {})})
    return Response(status, body, headers or {})


def json_answer(status: int, document: object, *, headers: Mapping[str, str] | None = None) -> Response:
    return answer(status, msgspec.json.encode(document), headers=headers)


def wire_bytes(
    response: Response, *, closes: bool, at: UtcTime | None = None, with_body: bool = True, minor_version: int = 1
) -> bytes:
    """The response as it is sent to a client of HTTP/1.0 or 1.1; dated `at`, or not at all.

    Raises `ValueError` for a header that would be more than one line.
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
    # Four of them are there always: the status line, and those of `_ALWAYS`.
    if head.count("\n") != len(lines) + 3:
        raise ValueError("a header with a line break in it")
    return f"{head}\r\n".encode() + (body if with_body else b"")


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return format_datetime(datetime.fromtimestamp(second, UTC), usegmt=True)
