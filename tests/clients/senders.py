"""Three ways to send a request with `sidecar.client`: httpx, httpx without threads, and aiohttp."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeAlias

import aiohttp
import httpx

from sidecar.client.aiohttp import SidecarAuth as AiohttpAuth
from sidecar.client.httpx import SidecarAuth as HttpxAuth

Kind: TypeAlias = Literal["none", "bytes", "text", "stream", "file", "form", "multipart"]
"""How an app gives a body to its library; a `form` and a `multipart` contain the bytes, the others are the bytes."""


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes


class Sender(Protocol):
    """`client` has arguments of the library's client; `follow`: redirects are followed."""

    def __call__(
        self,
        auth: HttpxAuth | AiohttpAuth,
        method: str,
        url: str,
        body: bytes = b"",
        kind: Kind = "bytes",
        *,
        headers: Mapping[str, str] | None = None,
        follow: bool = False,
        **client: Any,  # noqa: ANN401 - the library's own arguments
    ) -> Answer: ...


def _httpx(
    auth: HttpxAuth,
    method: str,
    url: str,
    body: bytes = b"",
    kind: Kind = "bytes",
    *,
    headers: Mapping[str, str] | None = None,
    follow: bool = False,
    **client: Any,  # noqa: ANN401 - the library's own arguments
) -> Answer:
    content = {"content": _parts(body)} if kind == "stream" else _httpx_body(body, kind)
    with httpx.Client(auth=auth, follow_redirects=follow, trust_env=False, **client) as session:
        response = session.request(method, url, headers=headers, **content)
        return Answer(response.status_code, response.content)


def _httpx_async(
    auth: HttpxAuth,
    method: str,
    url: str,
    body: bytes = b"",
    kind: Kind = "bytes",
    *,
    headers: Mapping[str, str] | None = None,
    follow: bool = False,
    **client: Any,  # noqa: ANN401 - the library's own arguments
) -> Answer:
    async def send() -> Answer:
        content = {"content": _async_parts(body)} if kind in ("stream", "file") else _httpx_body(body, kind)
        async with httpx.AsyncClient(auth=auth, follow_redirects=follow, trust_env=False, **client) as session:
            response = await session.request(method, url, headers=headers, **content)
            return Answer(response.status_code, response.content)

    return asyncio.run(send())


def _aiohttp(
    auth: AiohttpAuth,
    method: str,
    url: str,
    body: bytes = b"",
    kind: Kind = "bytes",
    *,
    headers: Mapping[str, str] | None = None,
    follow: bool = False,
    **client: Any,  # noqa: ANN401 - the library's own arguments
) -> Answer:
    async def send() -> Answer:
        async with (
            aiohttp.ClientSession(middlewares=[auth], **client) as session,
            session.request(
                method, url, data=_aiohttp_body(body, kind), headers=headers, allow_redirects=follow
            ) as response,
        ):
            return Answer(response.status, await response.read())

    return asyncio.run(send())


def _httpx_body(body: bytes, kind: Kind) -> dict[str, Any]:
    found: dict[Kind, dict[str, Any]] = {
        "none": {},
        "bytes": {"content": body},
        "text": {"content": body.decode("latin-1")},
        "file": {"content": io.BytesIO(body)},
        "form": {"data": {"field": body.decode("latin-1")}},
        "multipart": {"files": {"field": ("name", io.BytesIO(body))}},
    }
    return found[kind]


def _aiohttp_body(body: bytes, kind: Kind) -> Any:  # noqa: ANN401 - what aiohttp takes
    if kind == "multipart":
        form = aiohttp.FormData()
        form.add_field("field", io.BytesIO(body), filename="name")
        return form
    found: dict[Kind, Any] = {
        "none": None,
        "bytes": body,
        "text": body.decode("latin-1"),
        "stream": _async_parts(body),
        "file": io.BytesIO(body),
        "form": {"field": body.decode("latin-1")},
    }
    return found[kind]


def _parts(body: bytes) -> Iterator[bytes]:
    yield body[:5]
    yield body[5:]


async def _async_parts(body: bytes) -> AsyncIterator[bytes]:
    for part in _parts(body):
        yield part


SENDERS: Mapping[str, tuple[type[HttpxAuth | AiohttpAuth], Sender]] = {
    "httpx": (HttpxAuth, _httpx),  # type: ignore[dict-item]
    "httpx-async": (HttpxAuth, _httpx_async),  # type: ignore[dict-item]
    "aiohttp": (AiohttpAuth, _aiohttp),  # type: ignore[dict-item]
}
