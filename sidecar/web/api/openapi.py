"""The OpenAPI 3.1 document of both listeners: `openapi.json` beside this file, with the version filled in."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, ClassVar

import msgspec

import sidecar
from sidecar.web.api.guards import RequiredAuth
from sidecar.web.api.request_reading import refuse_query
from sidecar.web.responses import EndpointResult, make_response
from sidecar.web.server.request_handler import HttpRequest

_TAKE_EVERY_METHOD = ("/v1/authorize", "/v1/authorize/{profile}")
_OTHER_METHODS = ("head", "post", "put", "patch", "delete", "options", "trace")


def document() -> dict[str, Any]:
    """Return the document as data."""
    text = Path(__file__).with_name("openapi.json").read_bytes()
    found: dict[str, Any] = msgspec.json.decode(text)
    found["info"]["version"] = sidecar.__version__
    for path in _TAKE_EVERY_METHOD:
        operation = found["paths"][path]["get"]
        for method in _OTHER_METHODS:
            name = f"{operation['operationId']}By{method.capitalize()}"
            found["paths"][path][method] = {**operation, "operationId": name}
    return found


@functools.cache
def _body() -> bytes:
    """Return the encoded document. It is made at the first request, which is rare in production."""
    return msgspec.json.encode(document())


class OpenApiEndpoint:
    """`GET /openapi.json`: public, so that tools and people can read it without a header or a token."""

    endpoint: ClassVar[None] = None
    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")
    auth: ClassVar[RequiredAuth] = RequiredAuth.NONE
    profile = ""

    async def __call__(self, request: HttpRequest) -> EndpointResult:
        refuse_query(request)
        return EndpointResult(code="ok", response=make_response(200, _body()))
