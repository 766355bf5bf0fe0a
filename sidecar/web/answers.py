"""What every answer of both listeners has in common: never stored, never sniffed, no server version."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

import msgspec
from aiohttp import web

from sidecar.core.events import Outcome

JSON = "application/json"
TEXT = "text/plain; charset=utf-8"

_ALWAYS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Server": "token-sidecar"}


@dataclass(frozen=True, slots=True)
class Answered:
    """A response and the contract's code for it: `ok`, `not-modified` or an error code.

    `profile` is set only by an endpoint that learns the profile from the body. `token_id` and `outcome` are for the
    audit: `outcome` is set where a token is in the answer, or was reported.
    """

    code: str
    response: web.Response
    profile: str = ""
    token_id: str = ""
    outcome: Outcome | None = None


def answer(
    status: int, body: bytes = b"", *, content_type: str = JSON, headers: Mapping[str, str] | None = None
) -> web.Response:
    """A response with the headers that every answer carries; without a body it names no content type."""
    described = {"Content-Type": content_type} if body else {}
    return web.Response(status=status, body=body or None, headers={**_ALWAYS, **described, **(headers or {})})


def json_answer(status: int, document: object, *, headers: Mapping[str, str] | None = None) -> web.Response:
    return answer(status, msgspec.json.encode(document), headers=headers)


def wire_bytes(response: web.Response) -> bytes:
    """A response with a body as it goes over the wire, for where there is no request to answer."""
    body = response.body if isinstance(response.body, bytes) else b""
    reason = HTTPStatus(response.status).phrase
    fields = {**response.headers, "Content-Length": str(len(body))}
    lines = [f"HTTP/1.1 {response.status} {reason}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body
