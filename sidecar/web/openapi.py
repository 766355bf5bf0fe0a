"""The OpenAPI 3.1 document of both listeners: `openapi.json` beside this file, with the version filled in."""

from __future__ import annotations

from importlib.resources import files
from typing import Any, ClassVar

import msgspec
from aiohttp import web

import sidecar
from sidecar.web.answers import JSON, Answered, answer
from sidecar.web.guards import Proof


def document() -> dict[str, Any]:
    """The document as data."""
    text = files("sidecar.web").joinpath("openapi.json").read_bytes()
    found: dict[str, Any] = msgspec.json.decode(text)
    found["info"]["version"] = sidecar.__version__
    return found


class OpenApiEndpoint:
    """`GET /openapi.json`: public, so that tools and people can read it without knowing how to ask."""

    endpoint: ClassVar[None] = None
    methods: ClassVar[tuple[str, ...]] = ("GET", "HEAD")
    proof: ClassVar[Proof] = Proof.NONE
    profile = ""

    def __init__(self) -> None:
        self._body = msgspec.json.encode(document())

    async def __call__(self, request: web.BaseRequest) -> Answered:  # noqa: ARG002 - the form of every endpoint
        return Answered("ok", answer(200, self._body, content_type=JSON))
