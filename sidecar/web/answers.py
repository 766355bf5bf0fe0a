"""What every answer of both listeners has in common: never stored, never sniffed, no server version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from aiohttp.web_response import Response

from sidecar.core.request_events import Outcome
from sidecar.vending.vendor import Vended

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "token-sidecar"}


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
    vended: Vended | None = None
    """What is in the answer, where the same request would get the same for a while."""


def answer(
    status: int, body: bytes = b"", *, content_type: str = JSON, headers: Mapping[str, str] | None = None
) -> Response:
    """A response with the headers that every answer carries; without a body it names no content type."""
    described = {"Content-Type": content_type} if body else {}
    return Response(status=status, body=body or None, headers={**_ALWAYS, **described, **(headers or {})})


def json_answer(status: int, document: object, *, headers: Mapping[str, str] | None = None) -> Response:
    return answer(status, msgspec.json.encode(document), headers=headers)


def wire_bytes(response: Response, date: str = "", *, closes: bool = True) -> bytes:
    """A response to HTTP/1.1 as aiohttp puts it on the wire, for where it has no hand in it; without a `date` none."""
    body = response.body if isinstance(response.body, bytes) else b""
    fields = dict(response.headers)
    if response.status != 204:
        fields["Content-Length"] = str(len(body))
    if date:
        fields["Date"] = date
    if closes:
        fields["Connection"] = "close"
    first = f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"
    return "\r\n".join([first, *(f"{name}: {value}" for name, value in fields.items()), "", ""]).encode() + body
